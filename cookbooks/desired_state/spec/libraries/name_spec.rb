# frozen_string_literal: true

RSpec.describe DesiredState::Name do
  names = Contract.load('names.json')

  names.fetch('valid').each do |text|
    it "takes #{text[0, 40].inspect} for a name" do
      expect(described_class.name?(text)).to be(true)
      expect(described_class.check('node', text)).to equal(text)
    end
  end

  names.fetch('invalid').each do |text|
    it "refuses #{text[0, 40].inspect} by an error that shows it" do
      expect(described_class.name?(text)).to be(false)
      expect { described_class.check('node', text) }
        .to raise_error(DesiredState::InvalidInput, a_string_starting_with("node #{text.inspect} is not a name"))
    end
  end

  [nil, 1, :web, ['web'], "web\xff"].each do |value|
    it "refuses #{value.inspect}, which is no text of the form" do
      expect { described_class.check('tier', value) }.to raise_error(DesiredState::InvalidInput, /\Atier /)
    end
  end
end
