# frozen_string_literal: true

require 'securerandom'
require_relative 'interruption'
require_relative 'machine'
require_relative 'outbox'
require_relative 'report'

module DesiredState
  # Subscribes to the events of a Chef run and reports the run for each tier that it has read: +running+ first, the outcome
  # last. Chef's dispatcher only asks respond_to?, so this class does not need Chef. Never raises, since that would replace
  # the run's own exception.
  class Reporter
    REBOOT = 'Chef::Exceptions::Reboot'

    # +snapshots+: what was read, by tier; grows while the run compiles. +outbox+: nil in a why-run, which reports nothing.
    # +interruption+: watches this process.
    def initialize(settings:, snapshots:, outbox:, client:, interruption:, run_id: nil, logger: nil,
                   clock: -> { Time.now })
      @settings = settings
      @snapshots = snapshots
      @outbox = outbox
      @client = client
      @interruption = interruption
      @run_id = run_id || SecureRandom.uuid
      @logger = logger
      @clock = clock
      @started_at = Report.moment(clock.call)
      @tiers = []
      @updated = 0
      @failures = []
      @failed_file = nil
      @is_whole = false
      @previous = {}
    end

    # Announces a tier before it is read, so that a failed read is reported too.
    def begin_tier(tier)
      @tiers |= [tier]
    end

    # Whether there is a tier to report.
    def reports?
      @tiers.any?
    end

    # Reports that the run works on the tier.
    def running(tier)
      send_report(tier, 'status' => 'running')
    end

    # --- Chef's events -----------------------------------------------------------------------------------------------

    def resource_updated(_resource, _action)
      @updated += 1
    end

    # For nested resources, called for the innermost first.
    def resource_failed(resource, _action, exception)
      if resource.respond_to?(:ignore_failure) && resource.ignore_failure
        @failures.clear
      else
        @failures << [exception, resource.to_s]
      end
    end

    def recipe_file_load_failed(path, _exception, _recipe = nil)
      @failed_file = "recipe #{path}"
    end

    def converge_complete
      @is_whole = true
    end

    # Chef also calls this for a run that was left by `throw :end_client_run_early`.
    def run_completed(_node, run_status = nil)
      return finish('rebooting') if reboot_requested?(run_status)
      return succeed if @is_whole

      finish('failed', 'class' => 'UncaughtThrowError', 'resource' => '',
                       'message' => 'the run was ended early (:end_client_run_early): not everything has converged')
    end

    # A requested reboot raises an exception after the run has completed.
    def run_failed(exception, _run_status = nil)
      return if exception.class.name == REBOOT

      finish(@interruption.interrupted?(exception) ? 'interrupted' : 'failed', describe(exception))
    end

    private

    def reboot_requested?(run_status)
      context = run_status.run_context if run_status.respond_to?(:run_context)
      context.respond_to?(:reboot_requested?) && context.reboot_requested?
    end

    def succeed
      finish('succeeded')
      Machine.remember_boot(@settings.state_dir) if @outbox && @settings.state_dir
    end

    def finish(status, error = nil)
      finished = { 'status' => status, 'finished_at' => Report.moment(@clock.call), 'updated_resources' => @updated,
                   'error' => error }
      is_sent = @tiers.map { |tier| send_report(tier, finished) }.all?
      @outbox.flush if @outbox && is_sent # reports kept for other tiers
    rescue StandardError => e
      @logger&.error("desired_state: could not report: #{e.class}: #{e.message}")
    end

    def send_report(tier, fields)
      return if @outbox.nil?

      key = @settings.keys.report(tier, @settings.node_name)
      @outbox.send_report(key, begin_report(tier).with(fields), keep: fields['status'] != 'running')
    end

    def begin_report(tier)
      snapshot = @snapshots[tier]
      Report.new(
        'node' => @settings.node_name, 'tier' => tier, 'generation' => snapshot&.generation, 'state' => snapshot&.state,
        'status' => 'running', 'run_id' => @run_id, 'started_at' => @started_at, 'finished_at' => nil,
        'updated_resources' => 0, 'source' => snapshot&.source || 'consul', 'client' => @client, 'error' => nil,
        'id' => snapshot&.id, 'node_id' => node_id, 'previous_status' => previous_status(tier)
      )
    end

    # Looked up once per run.
    def node_id
      @node_id = @settings.kv.node_id(@settings.node_name, timeout: Outbox::TIMEOUT) unless defined?(@node_id)
      @node_id
    end

    # The outcome of the run before, as this run's first report finds it.
    def previous_status(tier)
      snapshot = @snapshots[tier]
      return if snapshot.nil?

      @previous.fetch(tier) do
        before = @outbox.last_report(@settings.keys.report(tier, @settings.node_name))
        @previous[tier] =
          if before.nil? || before.of_other_machine?(node_id) then nil
          elsif before['run_id'] == @run_id then before['previous_status']
          else
            before.as_previous_of(snapshot.assignment)
          end
      end
    rescue Error => e # this run's next report tries again
      @logger&.error("desired_state: could not read the report of the run before: #{e.message}")
      nil
    end

    # Excludes failures that were rescued and so did not end the run.
    def cause_of?(failure, root)
      failure.instance_of?(root.class) && root.message.to_s.include?(failure.message.to_s)
    end

    # Chef wraps exceptions, and extends their messages on the way out of each resource.
    def describe(exception)
      root = exception.respond_to?(:wrapped_errors) ? exception.wrapped_errors.first || exception : exception
      inner, resource = @failures.find { |failure, _| cause_of?(failure, root) }
      return Report.error(inner, resource) if inner

      Report.error(root, @failed_file)
    rescue StandardError => e
      Report.error(e)
    end
  end
end
