# frozen_string_literal: true

# A Consul server on this node, with the desired states from node['test']['desired']. All at compile time, since that is
# when recipes read desired states.
desired = node['test']['desired']

apt_update do
  compile_time true
end

directory '/etc/consul.d' do
  compile_time true
end

file '/etc/consul.d/test.json' do
  content Chef::JSONCompat.to_json_pretty(
    'server' => true, 'bootstrap_expect' => 1, 'bind_addr' => '127.0.0.1',
    'node_name' => node['desired_state']['node_name'], 'services' => desired.keys.map { |tier| { 'name' => tier } }
  )
  compile_time true
end

package 'consul' do
  compile_time true
end

service 'consul' do
  action %i(enable start)
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
