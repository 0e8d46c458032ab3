# frozen_string_literal: true

# The application: must be off while the database is migrated; waiting and converged as in web.
desired_state('app', default: 'off') do |on|
  on.state('off') do
    shop_tier('app') { action :stop }
  end

  on.state('waiting') do |want|
    shop_tier 'app' do
      release want.values.fetch('release')
      mode 'waiting'
    end
  end

  on.state('converged') do |want|
    shop_tier 'app' do
      release want.values.fetch('release')
    end
  end
end
