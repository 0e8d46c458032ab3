# frozen_string_literal: true

require 'chefspec_helper'

# Those of metadata.rb that Fauxhai knows.
[
  %w(almalinux 9), %w(almalinux 10), %w(amazon 2023), %w(debian 12), %w(debian 13), %w(redhat 9), %w(rocky 9),
  %w(ubuntu 22.04), %w(ubuntu 24.04)
].each do |name, version|
  RSpec.describe "On #{name} #{version}" do
    platform name, version
    step_into :desired_state_trigger, :desired_state_fallback, :desired_state_install

    before { chef_node.default['desired_state'] = settings_given }

    recipe do
      desired_state_trigger 'web'
      desired_state_fallback '/etc/chef/client.d/desired_state.rb'
    end

    it 'sets up trigger and fallback' do
      %w(desired-state.path desired-state.timer).each { |unit| expect(chef_run).to start_systemd_unit(unit) }
      expect(chef_run).to create_file('/usr/local/lib/desired_state/trigger.rb')
      expect(chef_run).to create_template('/etc/chef/client.d/desired_state.rb')
    end

    it 'is a platform that metadata.rb supports' do
      metadata = Chef::Cookbook::Metadata.new.tap { |read| read.from_file(File.join(COOKBOOKS, 'desired_state', 'metadata.rb')) }
      expect(Chef::VersionConstraint::Platform.new(metadata.platforms.fetch(name))).to include(version)
    end
  end
end
