# frozen_string_literal: true

require 'securerandom'
require_relative 'interruption'
require_relative 'outbox'
require_relative 'settings'

module DesiredState
  # Reports a Chef run that failed before a recipe read any tier: a cookbook that is missing or does not load, an attribute
  # file that raises. Called by the client.d file that desired_state_fallback writes.
  module EarlyFailure
    module_function

    # Whether a recipe's reporter has reported the run or will.
    def reported?(run_status)
      node = run_status.node if run_status.respond_to?(:node)
      node.respond_to?(:run_state) && node.run_state[:desired_state]&.reports?
    end

    # Returns whether Consul has the report. Reports no run that was cut off from outside, since that is no failure.
    # Never raises, since that would replace the run's own exception.
    def report(settings_path, exception, run_status, client:, logger: nil)
      return false if Interruption.ended_by_signal?(exception)

      settings = Settings.read(settings_path)
      moment = Report.moment(Time.now)
      started = run_status.start_time if run_status.respond_to?(:start_time)
      report = Report.new(
        'node' => settings.node_name, 'status' => 'failed', 'run_id' => run_id(run_status),
        'started_at' => started ? Report.moment(started) : moment, 'finished_at' => moment,
        'client' => client, 'error' => Report.error(exception)
      )
      key = settings.keys.early_failure(settings.node_name)
      Outbox.new(kv: settings.kv, dir: nil, logger: logger).send_report(key, report, keep: false)
    rescue StandardError, ScriptError => e
      logger&.error("desired_state: could not report the failed run: #{e.class}: #{e.message}")
      false
    end

    def run_id(run_status)
      (run_status.run_id if run_status.respond_to?(:run_id)) || SecureRandom.uuid
    end
  end
end
