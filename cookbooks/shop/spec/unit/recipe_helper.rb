# frozen_string_literal: true

require 'chefspec'
require_relative '../../../desired_state/libraries/consul_kv'

RSpec.configure do |config|
  config.cookbook_path = File.expand_path('../../..', __dir__)
  config.platform = 'debian'
  config.version = '12'
end

# Recipes of the shop with a Consul that the examples fill; undeclared keys are missing.
RSpec.shared_context 'with a shared data view' do
  let(:view) { {} }
  let(:reports) { Hash.new { |sent, key| sent[key] = [] } }
  let(:steps) { %w(shop_tier) }
  let(:supervisor) { 'systemd' }
  let(:state_dir) { Dir.mktmpdir }
  let(:runner) do
    ChefSpec::SoloRunner.new(step_into: steps) do |node|
      node.normal['desired_state'] = { 'environment' => 'test', 'node_name' => 'node-1', 'state_dir' => state_dir }
      node.normal['shop'] = { 'root' => '/srv/shop', 'store' => '/mnt/store', 'supervisor' => supervisor }
    end
  end

  before do
    allow_any_instance_of(DesiredState::ConsulKV).to receive(:get) do |_, key, **|
      view[key] && DesiredState::ConsulKV::Entry.new(value: view[key], modify_index: 1)
    end
    allow_any_instance_of(DesiredState::ConsulKV).to receive(:put) do |_, key, value, **|
      reports[key] << JSON.parse(value)
      true
    end
  end

  after { FileUtils.remove_entry(state_dir) }

  def declare(tier, state, values = { 'release' => '2.5.0' })
    view["chefconsul/test/#{tier}/desired"] = JSON.generate(
      'schema' => 1, 'generation' => 7, 'canary' => nil, 'written_at' => '2026-11-22T08:00:00Z',
      'stable' => { 'generation' => 7, 'state' => state, 'values' => values },
      'written_by' => { 'dag_id' => 'shop', 'run_id' => 'manual__1', 'task_id' => 'set', 'map_index' => -1 }
    )
  end

  # The statuses that the node has reported for a tier.
  def statuses(tier)
    reports["chefconsul/test/#{tier}/nodes/node-1"].map { |report| report['status'] }
  end
end
