# frozen_string_literal: true

RSpec.describe DesiredState::Platform do
  resource = Struct.new(:node) do
    def to_s
      'desired_state_trigger[web]'
    end
  end

  it 'refuses Windows, naming the resource and what to do' do
    expect { described_class.refuse_windows(resource.new({ 'platform_family' => 'windows' })) }
      .to raise_error(DesiredState::UnsupportedPlatform, /\Adesired_state_trigger\[web\] does not run on Windows; put `unless windows\?`/)
  end

  %w(debian rhel amazon).each do |family|
    it "accepts #{family}" do
      expect { described_class.refuse_windows(resource.new({ 'platform_family' => family })) }.not_to raise_error
    end
  end
end
