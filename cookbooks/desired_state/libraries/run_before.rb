# frozen_string_literal: true

require 'fileutils'
require_relative 'outbox'
require_relative 'whole_file'

module DesiredState
  # What this node's reports say of its runs before this one.
  class RunBefore
    def initialize(settings:, outbox:, run_id:)
      @settings = settings
      @outbox = outbox
      @run_id = run_id
      @reports = {}
    end

    # Consul's id of this machine, if known; looked up once.
    def node_id
      @node_id = @settings.kv.node_id(@settings.node_name, timeout: Outbox::TIMEOUT) unless defined?(@node_id)
      @node_id
    end

    # The last report for the tier before this run's first; nil if there is none, or only an earlier machine's. Raises Error.
    def report(tier)
      @reports.fetch(tier) do
        report = @outbox.last_report(@settings.keys.report(tier, @settings.node_name))
        @reports[tier] = report&.of_other_machine?(node_id) ? nil : report
      end
    end

    # The outcome of the run before on an assignment, a report's +previous_status+. Raises Error.
    def status(tier, assignment)
      before = report(tier)
      return if before.nil?

      before['run_id'] == @run_id ? before['previous_status'] : before.as_previous_of(assignment)
    end

    # Whether the run before has succeeded on an assignment. Also known while Consul is unavailable.
    def converged_on?(tier, assignment)
      [remembered(tier), reported(tier)].compact.any? { |report| report.converged_on?(assignment) }
    end

    # Keeps the report of a success on this machine's disk.
    def remember(report)
      return if @settings.state_dir.nil?

      FileUtils.mkdir_p(File.dirname(path(report['tier'])), mode: 0o700)
      WholeFile.write(path(report['tier']), report.to_json)
    rescue SystemCallError
      nil # costs a wait for a slot at most
    end

    # A run begins: until it has succeeded, nothing is known.
    def forget(tier)
      WholeFile.remove(path(tier)) if @settings.state_dir
    end

    # The drift that runs have mended on a day, a report's +mended+; nil if none.
    def mended(tier, day)
      mended = reported(tier)&.[]('mended')
      mended if mended && mended['on'] == day
    end

    private

    def reported(tier)
      report(tier)
    rescue Error
      nil
    end

    def remembered(tier)
      Report.parse(path(tier), File.read(path(tier), encoding: Encoding::UTF_8)) if @settings.state_dir
    rescue SystemCallError, MalformedDocument
      nil
    end

    def path(tier)
      File.join(@settings.state_dir, 'succeeded', "#{@settings.keys.desired(tier).tr('/', '+')}.json")
    end
  end
end
