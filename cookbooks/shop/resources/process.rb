# frozen_string_literal: true

unified_mode true
provides :shop_process

description 'A process that keeps running: a systemd unit, or a plain child where there is no systemd or no root.'

property :process, String,
         name_property: true,
         description: 'Its name.'

property :command, Array,
         required: true,
         description: 'The program and its arguments, with whole paths.'

property :home, String,
         required: true,
         description: 'The directory for its log and pid file, where it is a plain child.'

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

# Not at boot: what a node should be may have changed while it was down, so Chef starts it when it has read that.
action :start, description: 'Start it.' do
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

action :restart, description: 'Start it anew.' do
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

action :stop, description: 'Stop it.' do
  if under_systemd?
    systemd_unit unit do
      action %i(stop disable)
    end
  elsif child.running?
    converge_by("stop #{new_resource.process}") { child.stop }
  end
end
