# frozen_string_literal: true

# The front: off during an upgrade of the database; waiting runs the new release but answers 503; converged serves it.
desired_state('web', default: 'off') do |on|
  on.state('off') do
    shop_tier('web') { action :stop }
  end

  on.state('waiting') do |want|
    shop_tier 'web' do
      release want.values.fetch('release')
      mode 'waiting'
    end
  end

  on.state('converged') do |want|
    shop_tier 'web' do
      release want.values.fetch('release')
    end
  end
end
