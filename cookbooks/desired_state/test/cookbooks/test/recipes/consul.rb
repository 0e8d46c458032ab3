# frozen_string_literal: true

# A Consul server on this node, with the desired states from node['test']['desired']. All at compile time, since that is
# when recipes read desired states. The distributions have no Consul, so it comes from node['test']['consul_zip'], set up as
# its vendor's packages do: group, configuration directory and unit have the names that desired_state_trigger expects.
desired = node['test']['desired']
zip = ::File.join(Chef::Config[:file_cache_path], 'consul.zip')

group 'consul' do
  system true
  compile_time true
end

user 'consul' do
  system true
  gid 'consul'
  compile_time true
end

remote_file zip do
  source node['test']['consul_zip']
  compile_time true
end

archive_file zip do
  destination '/opt/consul'
  compile_time true
end

link '/usr/bin/consul' do
  to '/opt/consul/consul'
  compile_time true
end

%w(/etc/consul.d /var/lib/consul).each do |path|
  directory path do
    owner 'consul'
    group 'consul'
    compile_time true
  end
end

file '/etc/consul.d/test.json' do
  content Chef::JSONCompat.to_json_pretty(
    'server' => true, 'bootstrap_expect' => 1, 'bind_addr' => '127.0.0.1', 'data_dir' => '/var/lib/consul',
    'node_name' => node['desired_state']['node_name'], 'services' => desired.keys.map { |tier| { 'name' => tier } }
  )
  compile_time true
end

systemd_unit 'consul.service' do
  content(
    Unit: { Description: 'Consul', After: 'network-online.target' },
    Service: {
      User: 'consul', Group: 'consul', ExecStart: '/usr/bin/consul agent -config-dir=/etc/consul.d',
      ExecReload: '/bin/kill --signal HUP $MAINPID'
    },
    Install: { WantedBy: 'multi-user.target' }
  )
  action %i(create enable start)
  compile_time true
end

desired.each do |tier, state|
  key = "chefconsul/#{node['desired_state']['environment']}/#{tier}/desired"
  document = {
    'schema' => 1,
    'generation' => 1,
    'stable' => { 'generation' => 1, 'state' => state, 'values' => { 'release' => '2.4.0' } },
    'canary' => nil,
    'written_by' => { 'dag_id' => 'kitchen', 'run_id' => 'kitchen', 'task_id' => 'kitchen', 'map_index' => -1 },
    'written_at' => '2026-11-22T08:00:00Z',
  }

  execute "declare #{tier} #{state}" do
    command ['consul', 'kv', 'put', key, Chef::JSONCompat.to_json(document)]
    not_if "consul kv get #{key}"
    retries 30 # the server may have no leader yet
    retry_delay 1
    compile_time true
  end
end
