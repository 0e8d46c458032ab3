# frozen_string_literal: true

RSpec.describe DesiredState::Span do
  it 'reads a number with one unit' do
    { '90s' => 90, '30m' => 1800, '30min' => 1800, '2 h' => 7200, '1d' => 86_400 }.each do |text, seconds|
      expect([text, described_class.seconds(text)]).to eq([text, seconds])
    end
  end

  ['', '30', 'm', '0m', '-1h', '1.5h', '1h 30m', "30m\n", nil].each do |text|
    it "refuses #{text.inspect}" do
      expect { described_class.seconds(text) }.to raise_error(DesiredState::InvalidInput, /not a span of time/)
    end
  end
end
