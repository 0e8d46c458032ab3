# frozen_string_literal: true

# The database: one of its nodes migrates the store to a release, once; all nodes serve it.
desired_state('db', default: 'off') do |on|
  on.state('off') do
    shop_tier('db') { action :stop }
  end

  on.state('converged') do |want|
    to = want.values.fetch('release')

    desired_state_once 'migrate' do
      tier 'db'
      version to
      body do
        shop_migration to
      end
    end

    shop_tier 'db' do
      release to
    end
  end
end
