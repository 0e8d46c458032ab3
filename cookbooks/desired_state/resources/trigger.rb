# frozen_string_literal: true

unified_mode true
provides :desired_state_trigger

description 'Runs chef-client when the desired state of one of the node\'s tiers changes, when the Consul agent starts, ' \
            'and every few minutes until the node has reported its assignment as succeeded.'

# The agent's unit usually confines its watches (a separate user, NoNewPrivileges, a read-only /usr). So the watch only
# touches a file, and systemd, which watches that file, runs Chef.

property :tiers, [String, Array],
         name_property: true,
         coerce: proc { |tiers| Array(tiers).map { |tier| DesiredState::Name.check('tier', tier) } },
         description: 'The tiers of this node.'

property :command, Array,
         default: lazy { [ChefUtils::Dist::Infra::CLIENT] },
         description: 'The command to run, with its arguments.'

property :interval, String,
         default: '5min',
         description: 'How often to check whether the node still has to run, as a systemd time span.'

property :splay, String,
         default: '1min',
         description: 'Maximum random delay of each check, so that nodes do not check all at once.'

property :enforce, Hash,
         default: {},
         coerce: proc { |enforce| enforce.transform_keys(&:to_sym) },
         callbacks: {
           "must be like every: '30m'" => lambda do |enforce|
             enforce.empty? || (enforce.keys == %i(every) && DesiredState::Span::FORM.match?(enforce[:every].to_s))
           end,
         },
         description: "Also runs a node that has converged, to mend drift: every: '30m', checked at each interval."

property :stop_timeout, Integer,
         default: 90,
         callbacks: { 'must be at least 1 second' => ->(seconds) { seconds >= 1 } },
         description: 'Seconds for which a run may continue after the unit is stopped, for example by a shutdown; then it ' \
                      'is interrupted.'

property :run_timeout, String,
         default: '2h',
         description: 'How long a run may take, as a systemd time span; then it is interrupted.'

property :consul_config_dir, String,
         default: '/etc/consul.d',
         description: 'The agent\'s configuration directory, which gets the watch.'

property :consul_group, String,
         default: 'consul',
         description: 'The group that the agent runs as.'

property :consul_unit, String,
         default: 'consul.service',
         description: 'The agent\'s unit, reloaded when the watch changes. At a shutdown it stops after the run.'

property :lib_dir, String,
         default: '/usr/local/lib/desired_state',
         description: 'The directory for the libraries.'

property :settings_path, String,
         default: lazy { ::File.join(Chef::Config.etc_chef_dir, 'desired_state.json') },
         description: 'The settings file.'

def after_created
  super
  DesiredState::Platform.refuse_windows(self)
end

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

  # An agent's configuration refuses watches that name a namespace, and without a name it would watch another key.
  def can_watch?
    [nil, 'default'].include?(DesiredState::ChefRun.of(run_context).settings.namespace)
  end

  def trigger_command
    tiers = new_resource.tiers.flat_map { |tier| ['--tier', tier] }
    DesiredState::Systemd.command_line(
      [RbConfig.ruby, ::File.join(new_resource.lib_dir, 'trigger.rb'), '--settings', new_resource.settings_path, *tiers,
       *enforce, '--grace', new_resource.stop_timeout, '--', *new_resource.command]
    )
  end

  def enforce
    every = new_resource.enforce[:every]
    every ? ['--enforce', DesiredState::Span.seconds(every)] : []
  end

  # Leaves an interrupted run time to stop its children and to report.
  def stop_seconds
    new_resource.stop_timeout + 30
  end

  def watch_path
    ::File.join(new_resource.consul_config_dir, 'desired_state_watches.json')
  end
end

action :create, description: 'Creates watch, path unit, service and timer.' do
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
        # Stopped before these, so that a run interrupted by a shutdown can still report.
        After: "network-online.target #{new_resource.consul_unit}",
        StartLimitIntervalSec: 0, # runs with nothing to do are short and may come in bursts
      },
      Service: {
        Type: 'oneshot',
        # Before Chef reads the state, so that a change during the run creates the file again and the path unit runs this
        # again. -r, because the agent's group could create a directory instead.
        ExecStartPre: "/bin/rm -rf #{due_file}",
        ExecStart: trigger_command,
        # Signals only the trigger: if Chef's children got the signal too, the run would fail.
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
    action :delete unless can_watch?
    notifies :reload, "service[#{new_resource.consul_unit}]", :delayed
  end
end

action :delete, description: 'Deletes watch, path unit, service and timer, but keeps libraries and settings.' do
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
    action :delete # not stopped: it may be running this very recipe
  end

  file '/etc/tmpfiles.d/desired_state.conf' do
    action :delete
  end
end
