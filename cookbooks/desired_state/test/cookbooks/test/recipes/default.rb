# frozen_string_literal: true

# A tier that consists of a file; uses every resource of the cookbook.
include_recipe 'test::consul'

desired_state('web') do |on|
  on.state('off') do
    file('/srv/release') { action :delete }
  end

  on.state('converged') do |want|
    release = want.values.fetch('release')

    desired_state_once 'migrate' do
      tier 'web'
      version release
      body do
        file '/srv/schema' do
          content "#{release}\n"
        end
      end
    end

    file '/srv/release' do
      content "#{release}\n"
    end

    desired_state_ready 'tcp://127.0.0.1:8500'
  end
end

# Test Kitchen's chef-client has its configuration elsewhere, so another command stands in for it.
desired_state_trigger 'web' do
  command %w(/usr/bin/touch /srv/triggered)
end

desired_state_fallback '/etc/chef/client.d/desired_state.rb'
