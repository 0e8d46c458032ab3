# frozen_string_literal: true

unified_mode true
provides :desired_state_ready

description 'Fails the run unless the service on the node answers. It checks at the end of the run, after the delayed ' \
            'restarts that were queued before it and before the run is reported as succeeded.'

property :url, String,
         name_property: true,
         description: 'The address to check: http://…, https://… or tcp://HOST:PORT.'

property :expect, [Integer, Array, Range],
         default: 200..399,
         coerce: proc { |expect| expect.is_a?(Integer) ? [expect] : expect },
         description: 'The HTTP statuses that count as ready.'

property :timeout, [Integer, Float],
         default: 30,
         description: 'Seconds until the run fails.'

property :interval, [Integer, Float],
         default: 1,
         description: 'Seconds between attempts.'

action :check, description: 'Checks at the end of the run.' do
  DesiredState::Probe.new(new_resource.url) # a mistake in the URL fails here, not at the end
  # Restarts are usually delayed: an immediate check would reach the old process.
  run_context.root_run_context.add_delayed_action(
    Chef::Resource::Notification.new(new_resource, :check_now, new_resource)
  )
end

action :check_now, description: 'Checks at once.' do
  unless Chef::Config[:why_run]
    DesiredState::Probe.new(new_resource.url, expect: new_resource.expect)
                       .wait(timeout: new_resource.timeout, interval: new_resource.interval)
  end
end
