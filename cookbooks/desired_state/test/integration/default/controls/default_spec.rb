# frozen_string_literal: true

control 'tier' do
  impact 1.0
  title 'The tier has the declared release'

  describe file('/srv/release') do
    its('content') { should eq "2.4.0\n" }
  end
end

control 'report' do
  impact 1.0
  title 'The run is reported with its generation'

  describe json(command: 'consul kv get chefconsul/test/web/nodes/test-1') do
    its('node') { should eq 'test-1' }
    its('status') { should eq 'succeeded' }
    its('generation') { should eq 1 }
    its('state') { should eq 'converged' }
  end
end

control 'once' do
  impact 1.0
  title 'The migration was done and recorded'

  describe file('/srv/schema') do
    its('content') { should eq "2.4.0\n" }
  end

  describe json(command: 'consul kv get chefconsul/test/web/done/migrate/2.4.0') do
    its('node') { should eq 'test-1' }
  end
end

control 'trigger' do
  impact 1.0
  title 'The agent watches the key, systemd runs Chef'

  describe json('/etc/consul.d/desired_state_watches.json') do
    its(['watches', 0, 'key']) { should eq 'chefconsul/test/web/desired' }
  end

  %w(desired-state.path desired-state.timer).each do |unit|
    describe systemd_service(unit) do
      it { should be_enabled }
      it { should be_running }
    end
  end

  describe file('/run/desired_state') do
    it { should be_directory }
    its('group') { should eq 'consul' }
    its('mode') { should cmp '0770' }
  end
end

control 'fallback' do
  impact 0.5
  title 'Runs that fail early are reported'

  describe file('/etc/chef/client.d/desired_state.rb') do
    it { should exist }
  end

  describe json('/etc/chef/desired_state.json') do
    its('node_name') { should eq 'test-1' }
  end
end
