# frozen_string_literal: true

require_relative 'interruption'
require_relative 'outbox'
require_relative 'reader'
require_relative 'reporter'
require_relative 'run_before'
require_relative 'settings'
require_relative 'slots'

module DesiredState
  # The method that recipes call.
  module DSL
    # Compiles the block for the state that this node is assigned.
    #
    #   desired_state('web') do |on|
    #     on.state('off')       { service('web') { action %i(stop disable) } }
    #     on.state('converged') { |want| … want.values['release'] … }
    #   end
    #
    # The tier is read once per run, no matter how often this is called. Without a block, it only returns the Snapshot.
    #
    # +default+: the state of a tier that was never declared; without it, such a run fails.
    # +on_unavailable+: what to do if Consul is unavailable. :fail fails the run. :last_known compiles what this node last
    # read; beware, a node that is cut off may restart what has been turned off since. :fail_late leaves the tier alone,
    # converges the rest, then fails: for run lists that repair the Consul agent.
    def desired_state(tier, default: nil, on_unavailable: :fail, &block)
      begin
        snapshot = ChefRun.of(run_context).snapshot(tier, default: default, on_unavailable: on_unavailable)
      rescue ConsulUnavailable => e
        raise unless on_unavailable == :fail_late && block

        return ChefRun.fail_late(self, tier, e)
      end
      snapshot.dispatch(&block) if block
      snapshot
    end
  end

  # One Chef run: what it has read, and its reporter. Kept in node.run_state, which is never saved.
  class ChefRun
    attr_reader :settings, :reader

    def self.of(run_context)
      run_context.node.run_state[:desired_state] ||= new(run_context)
    end

    # Fails the run at its end, after everything else has converged; returns nil.
    def self.fail_late(recipe, tier, error)
      Chef::Log.error("desired_state: leaving #{tier} unchanged: #{error.message}")
      late = recipe.declare_resource(:ruby_block, "desired state of #{tier} is unknown") do
        block { raise error }
        action :nothing
      end
      recipe.run_context.root_run_context.add_delayed_action(Chef::Resource::Notification.new(late, :run, late))
      nil
    end

    def initialize(run_context)
      @settings = Settings.new(ChefRun.settings_of(run_context.node))
      @reader = Reader.new(settings: settings, cache_dir: File.join(settings.state_dir, 'cache'))
      run = { settings: settings, interruption: Interruption.watch, run_id: Chef::RequestID.instance.request_id, logger: Chef::Log }
      outbox, before, @slots = ChefRun.accounts(reader, **run) unless Chef::Config[:why_run]
      @reporter = Reporter.new(
        snapshots: reader.snapshots, outbox: outbox, before: before, slots: @slots,
        client: "#{ChefUtils::Dist::Infra::SHORT} #{Chef::VERSION}", **run
      )
      run_context.root_run_context.events.register(@reporter)
    end

    # Reads a tier, at most once per run, takes a slot if it has to, and reports it as running.
    def snapshot(tier, **options)
      known = reader.snapshots[tier]
      return known if known

      @reporter.begin_tier(Name.check('tier', tier))
      snapshot = in_turn(reader.fetch(tier, **options))
      Chef::Log.public_send(snapshot.source == 'consul' ? :info : :warn, "desired_state: #{snapshot}")
      @reporter.running(tier)
      snapshot
    end

    # node['desired_state'], completed with what Chef knows about the node.
    def self.settings_of(node)
      given = (node.read('desired_state') || {}).to_h
      {
        'node_name' => node.name,
        'environment' => node.policy_group || node.chef_environment,
        'state_dir' => File.join(Chef::Config[:file_cache_path], 'desired_state'),
      }.merge(given.compact)
    end

    # Whether this run will be reported for at least one tier.
    def reports?
      @reporter.reports?
    end

    # What only a run needs that reports and takes slots.
    def self.accounts(reader, settings:, interruption:, run_id:, logger:)
      outbox = Outbox.new(kv: settings.kv, dir: DesiredState.outbox_dir(settings.state_dir), logger: logger)
      before = RunBefore.new(settings: settings, outbox: outbox, run_id: run_id)
      slots = Slots.new(settings: settings, reader: reader, before: before, interruption: interruption, run_id: run_id, logger: logger)
      [outbox, before, slots]
    end

    private

    # The tier as it is when this node's turn has come. Without a slot nothing is compiled, and the report claims nothing.
    def in_turn(snapshot)
      return snapshot if @slots.nil?

      @slots.enter(snapshot) { |waits_for| @reporter.waiting(snapshot.tier, waits_for) }
    rescue Exception # also a signal
      reader.forget(snapshot.tier)
      raise
    end
  end
end

Chef::DSL::Universal.include(DesiredState::DSL) if defined?(Chef::DSL::Universal)
