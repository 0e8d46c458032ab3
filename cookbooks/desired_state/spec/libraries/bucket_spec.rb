# frozen_string_literal: true

RSpec.describe DesiredState::Bucket do
  Contract.load('buckets.json').each do |entry|
    it "puts #{entry['node'][0, 40]} under salt #{entry['salt']} in the same bucket as the orchestrator" do
      expect(described_class.of(entry['salt'], entry['node'])).to eq(entry['bucket'])
      expect(entry['bucket']).to be_between(0, described_class::COUNT - 1)
    end
  end
end
