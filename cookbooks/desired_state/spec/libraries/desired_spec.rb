# frozen_string_literal: true

RSpec.describe DesiredState::Desired do
  key = 'chefconsul/demo/web/desired'
  let(:key) { key }
  errors = { 'malformed' => DesiredState::MalformedDocument, 'unknown_schema' => DesiredState::UnknownSchema }

  Contract.load('desired_valid.json').each do |entry|
    it "reads a valid desired state: #{entry['why']}" do
      desired = described_class.parse(key, JSON.generate(entry['document']))
      expect(entry['assignments']).not_to be_empty
      entry['assignments'].each do |node, expected|
        # Compared as JSON, which tells 1 from 1.0 and true.
        found = desired.assignment_for(node).to_h.compact.transform_keys(&:to_s)
        expect([node, JSON.generate(found.sort.to_h)]).to eq([node, JSON.generate(expected.sort.to_h)])
      end
    end
  end

  Contract.load('desired_malformed.json').each do |entry|
    it "refuses a malformed desired state: #{entry['why']}" do
      expect { described_class.parse(key, entry['raw']) }.to raise_error do |error|
        expect(error).to be_an_instance_of(errors.fetch(entry['error']))
        expect(error.problem).to include(entry['says'])
        expect(error.message).to include(key)
      end
    end
  end

  describe 'the pace' do
    def parse(**pace)
      stable = assignment_fields.merge(pace.transform_keys(&:to_s))
      described_class.parse(key, JSON.generate(desired_fields.merge('stable' => stable))).stable
    end

    it 'is no limit unless the document says so' do
      expect(parse).to have_attributes(max_parallel: nil, per: nil, meta_key: nil, spread_over: nil)
      expect(parse(max_parallel: 2, per: 'meta:rack', spread_over: 300))
        .to have_attributes(max_parallel: 2, per: 'meta:rack', meta_key: 'rack', spread_over: 300)
    end

    {
      { max_parallel: 0 } => 'field stable.max_parallel must be at least 1, not 0',
      { max_parallel: '5%' } => 'field stable.max_parallel must be an integer, not "5%"',
      { per: 'rack' } => 'field stable.per must be "meta:KEY", not "rack"',
      { per: 'meta:' } => 'field stable.per must be "meta:KEY", not "meta:"',
      { spread_over: -1 } => 'field stable.spread_over must be at least 0, not -1',
    }.each do |pace, says|
      it("is refused as #{pace}") { expect { parse(**pace) }.to raise_error(DesiredState::MalformedDocument, /#{Regexp.escape(says)}/) }
    end
  end

  it 'cannot be changed by a recipe' do
    desired = described_class.parse(key, JSON.generate(desired_fields(canary: canary_fields(nodes: ['web-2']))))
    [desired, desired.stable, desired.canary, desired.canary.nodes].each { |part| expect(part).to be_frozen }
    values = desired.stable.values
    expect { values['release'] = 'x' }.to raise_error(FrozenError)
    expect { values['release'] << 'x' }.to raise_error(FrozenError)
  end

  it 'refuses an infinite value with an error that names it' do
    text = JSON.generate(desired_fields).sub('"2.4.0"', '1e999')
    expect { described_class.parse(key, text) }
      .to raise_error(DesiredState::MalformedDocument, /field stable\.values\.release must be a JSON scalar, not Infinity/)
  end
end
