# frozen_string_literal: true

RSpec.describe DesiredState::Ticket do
  Contract.load('tickets.json').each do |row|
    it "reads a ticket as the orchestrator does: #{row['why']}" do
      entry = DesiredState::ConsulKV::Entry.new(
        key: "p/prod/web/_slots/#{row['node']}", value: row['raw'], create_index: 7, modify_index: 9
      )
      ticket = described_class.of(entry)
      expect(ticket).to have_attributes(node: row['node'], create_index: 7, modify_index: 9, malformed?: row['is_malformed'])
      if row['is_malformed']
        expect(ticket.is_held).to be(true)
      else
        expect(ticket.to_h.transform_keys(&:to_s)).to include(row.slice('is_held', 'is_failed', 'group', 'ttl'))
      end
    end
  end

  it 'is of another machine only if both ids are known and differ' do
    expect(described_class.new(node_id: 'a').of_other_machine?('b')).to be(true)
    [%w(a a), ['a', nil], [nil, 'b'], [nil, nil]].each do |theirs, mine|
      expect([theirs, mine, described_class.new(node_id: theirs).of_other_machine?(mine)]).to eq([theirs, mine, false])
    end
  end
end
