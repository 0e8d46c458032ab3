# frozen_string_literal: true

unified_mode true
provides :desired_state_trigger

description 'Runs chef-client when the desired state of one of the node\'s tiers changes, when the Consul agent starts, ' \
            'and every few minutes as long as the node has not reported its assignment as succeeded.'

# The agent's unit usually confines what its watches may do (an own user, NoNewPrivileges, a read-only /usr). So the watch
# only touches a file, and systemd, which watches that file, runs Chef.

property :tiers, [String, Array],
         name_property: true,
         coerce: proc { |tiers| Array(tiers).map { |tier| DesiredState::Name.check('tier', tier) } },
         description: 'The tiers of this node.'

property :command, Array,
         default: lazy { [ChefUtils::Dist::Infra::CLIENT] },
         description: 'What to run, with its arguments.'

property :interval, String,
         default: '5min',
         description: 'How often to look whether the node still has to run, as systemd writes time spans.'

property :splay, String,
         default: '1min',
         description: 'Up to how much later each look comes, so that nodes do not look all at once.'

property :stop_timeout, Integer,
         default: 90,
         callbacks: { 'must be at least 1 second' => ->(seconds) { seconds >= 1 } },
         description: 'Seconds for which a run may go on when the machine goes down or the unit is stopped; then it is ' \
                      'interrupted.'

property :run_timeout, String,
         default: '2h',
         description: 'How long a run may take, as systemd writes time spans; a run that hangs is interrupted then.'

property :consul_config_dir, String,
         default: '/etc/consul.d',
         description: 'The agent\'s configuration directory, where the watch goes.'

property :consul_group, String,
         default: 'consul',
         description: 'The group that the agent runs as.'

property :consul_unit, String,
         default: 'consul.service',
         description: 'The agent\'s unit, reloaded when the watch changes. A run ends before it is stopped.'

property :lib_dir, String,
         default: '/usr/local/lib/desired_state',
         description: 'Where the libraries go.'

property :settings_path, String,
         default: lazy { ::File.join(Chef::Config.etc_chef_dir, 'desired_state.json') },
         description: 'Where the settings go.'

action_class do
  def due_dir
    '/run/desired_state'
  end

  def due_file
    "#{due_dir}/due"
  end

  def watches
    keys = DesiredState::ChefRun.of(run_context).settings.keys
    new_resource.tiers.map do |tier|
      { 'type' => 'key', 'key' => keys.desired(tier), 'args' => ['/usr/bin/touch', due_file] }
    end
  end

  def trigger_command
    tiers = new_resource.tiers.flat_map { |tier| ['--tier', tier] }
    DesiredState::Systemd.command_line(
      [RbConfig.ruby, ::File.join(new_resource.lib_dir, 'trigger.rb'), '--settings', new_resource.settings_path, *tiers,
       '--grace', new_resource.stop_timeout, '--', *new_resource.command]
    )
  end

  # Time for a run that was interrupted to end what it runs, and to report.
  def stop_seconds
    new_resource.stop_timeout + 30
  end

  def watch_path
    ::File.join(new_resource.consul_config_dir, 'desired_state_watches.json')
  end
end

action :create, description: 'Put watch, path unit, service and timer in place.' do
  desired_state_install new_resource.lib_dir do
    settings_path new_resource.settings_path
  end

  file '/etc/tmpfiles.d/desired_state.conf' do
    content "d #{due_dir} 0770 root #{new_resource.consul_group} -\n"
    mode '0644'
  end

  directory due_dir do
    owner 'root'
    group new_resource.consul_group
    mode '0770'
  end

  systemd_unit 'desired-state.service' do
    content(
      Unit: {
        Description: 'Converge on the desired state of this node',
        # Stopped before these, so that what a shutdown cuts off can still be reported.
        After: "network-online.target #{new_resource.consul_unit}",
        StartLimitIntervalSec: 0, # a node that has nothing to do ends in no time, however often it is triggered
      },
      Service: {
        Type: 'oneshot',
        # Before Chef reads the state, so that a change in mid-run makes the file, and the path unit runs this again. The
        # agent's group may make it a directory.
        ExecStartPre: "/bin/rm -rf #{due_file}",
        ExecStart: trigger_command,
        # Only the trigger is told to stop: were Chef's children, too, the run would fail of that.
        KillMode: 'mixed',
        TimeoutStopSec: stop_seconds,
        TimeoutStartSec: new_resource.run_timeout,
        SuccessExitStatus: '0 35 37 213', # a reboot was scheduled or is needed; the client was upgraded
      }
    )
    action :create
  end

  systemd_unit 'desired-state.path' do
    content(
      Unit: { Description: 'Converge when the desired state may have changed' },
      Path: { PathExists: due_file, Unit: 'desired-state.service' },
      Install: { WantedBy: 'multi-user.target' }
    )
    action %i(create enable start)
  end

  systemd_unit 'desired-state.timer' do
    content(
      Unit: { Description: 'Converge until the desired state is reported as succeeded' },
      Timer: {
        OnBootSec: new_resource.interval, OnUnitInactiveSec: new_resource.interval,
        RandomizedDelaySec: new_resource.splay, AccuracySec: '1s', Unit: 'desired-state.service'
      },
      Install: { WantedBy: 'timers.target' }
    )
    action %i(create enable start)
  end

  service new_resource.consul_unit do
    action :nothing
  end

  file watch_path do
    content "#{Chef::JSONCompat.to_json_pretty('watches' => watches)}\n"
    mode '0644'
    notifies :reload, "service[#{new_resource.consul_unit}]", :delayed
  end
end

action :delete, description: 'Take watch, path unit, service and timer away; libraries and settings stay.' do
  service new_resource.consul_unit do
    action :nothing
  end

  file watch_path do
    action :delete
    notifies :reload, "service[#{new_resource.consul_unit}]", :delayed
  end

  %w(desired-state.timer desired-state.path).each do |unit|
    systemd_unit unit do
      action %i(stop disable delete)
    end
  end

  systemd_unit 'desired-state.service' do
    action :delete # not stopped: it may be what runs this
  end

  file '/etc/tmpfiles.d/desired_state.conf' do
    action :delete
  end
end
