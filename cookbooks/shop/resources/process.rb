# frozen_string_literal: true

unified_mode true
provides :shop_process

description 'A process that keeps running: a systemd unit, or a plain child if there is no systemd or no root.'

property :process, String,
         name_property: true,
         description: 'Its name.'

property :command, Array,
         required: true,
         description: 'The program and its arguments, with absolute paths.'

property :home, String,
         required: true,
         description: 'The directory for the log and pid file of a plain child.'

action_class do
  def under_systemd?
    node['shop']['supervisor'] == 'systemd'
  end

  def unit
    "shop-#{new_resource.process}.service"
  end

  def child
    Shop::Child.new(new_resource.command, home: new_resource.home)
  end
end

# Not at boot: the desired state may have changed while the node was down, so only Chef starts it, after reading that.
action :start, description: 'Starts the process.' do
  if under_systemd?
    systemd_unit unit do
      content(
        Unit: { Description: "Shop tier #{new_resource.process}", After: 'network.target' },
        Service: { ExecStart: DesiredState::Systemd.command_line(new_resource.command), Restart: 'on-failure', DynamicUser: true }
      )
      action %i(create disable start)
    end
  elsif !child.running?
    converge_by("start #{new_resource.process}") { child.start }
  end
end

action :restart, description: 'Restarts the process.' do
  if under_systemd?
    systemd_unit unit do
      action :restart
    end
  else
    converge_by("restart #{new_resource.process}") do
      child.stop
      child.start
    end
  end
end

action :stop, description: 'Stops the process.' do
  if under_systemd?
    systemd_unit unit do
      action %i(stop disable)
    end
  elsif child.running?
    converge_by("stop #{new_resource.process}") { child.stop }
  end
end
