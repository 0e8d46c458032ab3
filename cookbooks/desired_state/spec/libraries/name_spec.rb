# frozen_string_literal: true

RSpec.describe DesiredState::Name do
  names = Contract.load('names.json')

  names.fetch('valid').each do |text|
    it "accepts #{text[0, 40].inspect}" do
      expect(described_class.name?(text)).to be(true)
      expect(described_class.check('node', text)).to equal(text)
    end
  end

  names.fetch('invalid').each do |text|
    it "refuses #{text[0, 40].inspect} with an error that shows it" do
      expect(described_class.name?(text)).to be(false)
      expect { described_class.check('node', text) }
        .to raise_error(DesiredState::InvalidInput, a_string_starting_with("node #{text.inspect} is not a name"))
    end
  end

  [nil, 1, :web, ['web'], "web\xff"].each do |value|
    it "refuses #{value.inspect}, which is not such a text" do
      expect { described_class.check('tier', value) }.to raise_error(DesiredState::InvalidInput, /\Atier /)
    end
  end
end
