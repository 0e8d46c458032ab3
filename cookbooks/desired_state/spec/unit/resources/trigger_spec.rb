# frozen_string_literal: true

require 'chefspec_helper'
require 'shellwords'

RSpec.describe 'desired_state_trigger' do
  platform 'debian', '12'
  step_into :desired_state_trigger

  before { chef_node.default['desired_state'] = settings_given }

  def unit(name)
    chef_run.systemd_unit(name).content
  end

  describe 'create' do
    recipe do
      desired_state_trigger 'shop' do
        tiers %w(web app)
        command %w(/opt/chef-client --once)
        interval '10min'
        splay '30s'
        stop_timeout 60
        run_timeout '1h'
        consul_unit 'agent.service'
        enforce every: '30m'
        lib_dir '/opt/lib'
        settings_path '/opt/settings.json'
      end
    end

    it 'installs libraries and settings' do
      expect(chef_run).to create_desired_state_install('/opt/lib').with(settings_path: '/opt/settings.json')
    end

    it 'has the agent watch the desired state of each tier and only touch a file' do
      watches = JSON.parse(chef_run.file('/etc/consul.d/desired_state_watches.json').content).fetch('watches')
      expect(watches).to eq(
        %w(web app).map do |tier|
          { 'type' => 'key', 'key' => keys.desired(tier), 'args' => ['/usr/bin/touch', '/run/desired_state/due'] }
        end
      )
    end

    it 'has the agent reload when the watches change' do
      file = chef_run.file('/etc/consul.d/desired_state_watches.json')
      expect(file).to notify('service[agent.service]').to(:reload).delayed
      expect(chef_run.service('agent.service')).to do_nothing
    end

    it 'creates a directory for that file that the agent can write to, now and after a boot' do
      expect(chef_run).to create_directory('/run/desired_state').with(owner: 'root', group: 'consul', mode: '0770')
      expect(chef_run).to create_file('/etc/tmpfiles.d/desired_state.conf')
        .with(content: "d /run/desired_state 0770 root consul -\n")
    end

    it 'runs the trigger with the tiers and the command' do
      expect(Shellwords.split(unit('desired-state.service')[:Service][:ExecStart])).to eq(
        [
          RbConfig.ruby, '/opt/lib/trigger.rb', '--settings', '/opt/settings.json', '--tier', 'web', '--tier', 'app',
          '--enforce', '1800', '--grace', '60', '--', '/opt/chef-client', '--once'
        ]
      )
      expect(chef_run).to create_systemd_unit('desired-state.service')
      expect(chef_run).not_to start_systemd_unit('desired-state.service')
    end

    it 'stops before agent and network, and signals only its main process' do
      expect(unit('desired-state.service')[:Unit][:After]).to eq('network-online.target agent.service')
      expect(unit('desired-state.service')[:Service]).to include(KillMode: 'mixed', TimeoutStopSec: 90)
    end

    it 'limits how long a run may take' do
      expect(unit('desired-state.service')[:Service]).to include(Type: 'oneshot', TimeoutStartSec: '1h')
    end

    it 'removes the file before each run, even if it is a directory, so that a change during the run starts another one' do
      expect(unit('desired-state.service')[:Service][:ExecStartPre]).to eq('/bin/rm -rf /run/desired_state/due')
      expect(unit('desired-state.path')[:Path]).to eq(PathExists: '/run/desired_state/due', Unit: 'desired-state.service')
    end

    it 'checks regularly whether the node still has to run' do
      expect(unit('desired-state.timer')[:Timer]).to eq(
        OnBootSec: '10min', OnUnitInactiveSec: '10min', RandomizedDelaySec: '30s', AccuracySec: '1s',
        Unit: 'desired-state.service'
      )
    end

    it 'starts path and timer, also at each boot' do
      %w(desired-state.path desired-state.timer).each do |name|
        expect(chef_run).to create_systemd_unit(name)
        expect(chef_run).to enable_systemd_unit(name)
        expect(chef_run).to start_systemd_unit(name)
      end
    end
  end

  describe 'create with a name alone' do
    recipe { desired_state_trigger 'web' }

    it 'uses it as the tier, and runs chef-client' do
      expect(unit('desired-state.service')[:Service][:ExecStart]).to end_with('--tier web --grace 90 -- chef-client')
    end
  end

  describe 'create in a namespace' do
    recipe { desired_state_trigger 'web' }

    let(:watch) { '/etc/consul.d/desired_state_watches.json' }

    it 'has the agent watch nothing, whose configuration cannot name one, and keeps the timer' do
      chef_node.default['desired_state']['namespace'] = 'team'
      expect(chef_run).to delete_file(watch)
      expect(chef_run).not_to create_file(watch)
      expect(chef_run).to start_systemd_unit('desired-state.timer')
    end

    it 'has the agent watch in the one that it looks in anyway' do
      chef_node.default['desired_state']['namespace'] = 'default'
      expect(chef_run).to create_file(watch)
    end
  end

  describe 'create with an invalid tier' do
    recipe { desired_state_trigger '../web' }

    it 'fails the run' do
      expect { chef_run }.to raise_error(DesiredState::InvalidInput, %r{tier "\.\./web"})
    end
  end

  describe 'delete' do
    recipe do
      desired_state_trigger 'web' do
        action :delete
      end
    end

    it 'deletes what create made, but keeps libraries and settings' do
      %w(desired-state.timer desired-state.path).each do |name|
        expect(chef_run).to stop_systemd_unit(name)
        expect(chef_run).to disable_systemd_unit(name)
        expect(chef_run).to delete_systemd_unit(name)
      end
      expect(chef_run).to delete_file('/etc/tmpfiles.d/desired_state.conf')
      expect(chef_run).to delete_file('/etc/consul.d/desired_state_watches.json')
      expect(chef_run.find_resources(:desired_state_install)).to be_empty
    end

    it 'does not stop the service, which may be running this very recipe' do
      expect(chef_run).to delete_systemd_unit('desired-state.service')
      expect(chef_run).not_to stop_systemd_unit('desired-state.service')
    end

    it 'has the agent drop the watches' do
      expect(chef_run.file('/etc/consul.d/desired_state_watches.json')).to notify('service[consul.service]').to(:reload)
    end
  end
end
