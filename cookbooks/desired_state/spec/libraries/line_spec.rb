# frozen_string_literal: true

RSpec.describe DesiredState::Line do
  def ticket(node, create_index, is_held: false, group: '')
    DesiredState::Ticket.new(node: node, group: group, is_held: is_held, create_index: create_index)
  end

  def line(own, *others)
    described_class.new(own, [*others, own])
  end

  Contract.load('slots.json').each do |row|
    it "decides as the orchestrator does: #{row['name']}" do
      tickets = row['tickets'].map do |fields|
        ticket(fields['node'], fields['create_index'], is_held: fields['held'], group: fields['group'])
      end
      own = tickets.find { |ticket| ticket.node == row['own'] }
      line = described_class.new(own, tickets)
      found = line.enter?(row['limit']) ? { 'enter' => true } : { 'watch' => line.watched&.node || 'prefix' }
      expect(found).to eq(row['expect'])
    end
  end

  # Each step, one node that may enter does so, or one that holds leaves and queues anew; the limit changes in between.
  it 'lets no more nodes in than there are slots, and never stops, whatever the order and the limit' do
    random = Random.new(RSpec.configuration.seed)
    20.times do
      index = 0
      tickets = Array.new(8) { |n| ticket("web-#{n}", index += 1, group: %w(r1 r2)[random.rand(2)]) }
      300.times do
        limit = random.rand(1..4)
        entering, = tickets.partition { |own| !own.is_held && described_class.new(own, tickets).enter?(limit) }
        entering.each { |own| own.is_held = true } # all that may, at the same time
        tickets.group_by(&:group).each_value do |group|
          held = group.count(&:is_held)
          expect(held).to be <= [limit, held - group.count { |own| entering.include?(own) }].max
          expect(held).to be_positive
        end
        gone = tickets.select(&:is_held).sample(random: random)
        gone.is_held = false
        gone.create_index = index += 1
      end
    end
  end

  it 'lets everybody in without a limit' do
    expect(line(ticket('web-3', 9), ticket('web-1', 7, is_held: true), ticket('web-2', 8)).enter?(nil)).to be(true)
  end

  it 'names at most five holders, and how many are ahead' do
    holders = Array.new(7) { |n| ticket("web-#{n}", n, is_held: true) }
    expect(line(ticket('web-9', 9), *holders, ticket('web-8', 8)).waits_for(7)).to eq(
      'slot' => %w(web-0 web-1 web-2 web-3 web-4), 'of' => 7, 'ahead' => 8
    )
  end

  it 'looks at all tickets again if several may leave before it' do
    ahead = Array.new(4) { |n| ticket("web-#{n}", n) }
    expect([2, 3].map { |limit| line(ticket('web-9', 9), *ahead).near?(limit) }).to eq([false, true])
    expect(line(ticket('web-9', 9), *ahead.each { |one| one.is_held = true }).near?(1)).to be(true)
  end
end
