# frozen_string_literal: true

RSpec.describe DesiredState::Desired do
  key = 'chefconsul/demo/web/desired'
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
