# frozen_string_literal: true

require_relative '../spec_helper'

RSpec.describe DesiredState::Systemd do
  it "escapes systemd's special characters" do
    expect(described_class.command_line(['/usr/bin/chef client', '-o', 'recipe[shop::web]', '50% of $x', 'a "b" \\c']))
      .to eq('"/usr/bin/chef client" -o "recipe[shop::web]" "50%% of $$x" "a \\"b\\" \\\\c"')
  end
end
