# frozen_string_literal: true

require 'fileutils'
require 'optparse'
require_relative 'command'
require_relative 'desired'
require_relative 'due'
require_relative 'machine'
require_relative 'outbox'
require_relative 'settings'

module DesiredState
  # Runs chef-client if a tier's desired state may have changed. Called by the node's Consul watch and timer.
  #
  #   ruby trigger.rb --settings /etc/chef/desired_state.json --tier web -- chef-client
  #
  # Triggers come in bursts and from several sources. One runs and at most one waits for it; any other exits at once, since
  # the one that waits will read the newest state. A node that has reported its assignment as succeeded since it booted does
  # not run at all, unless it is time to mend drift. An assignment may say that nodes begin one after the other. The exit code
  # is the command's, or 0 if it did not run.
  class Trigger
    DELIVERY = 60 # seconds to keep trying to send reports after the run
    DELIVERY_PAUSE = 1.0
    LONGEST_WATCH = 55.0
    LONGEST_WATCH_OF_ONE = 5.0 # if there are several tiers, of which only one is watched at a time

    # A tier to converge; +index+: of the desired state, 0 if there is none.
    Pending = Struct.new(:tier, :assignment, :index, keyword_init: true)

    def self.main(arguments, out: $stdout)
      out.sync = true # a wait is announced while it lasts
      options = { tiers: [], grace: Command::GRACE }
      command = OptionParser.new do |parser|
        parser.banner = 'usage: trigger.rb --settings FILE --tier TIER [--tier TIER …] -- COMMAND …'
        parser.on('--settings FILE', 'what desired_state_install wrote') { |path| options[:settings] = path }
        parser.on('--tier TIER', 'a tier of this node') { |tier| options[:tiers] << tier }
        parser.on('--enforce SECONDS', Float, 'run this often though the node has converged') { |every| options[:enforce] = every }
        parser.on('--grace SECONDS', Float, 'how long the command may continue after SIGTERM') { |grace| options[:grace] = grace }
      end.parse(arguments)
      raise OptionParser::MissingArgument, '--settings' if options[:settings].nil?
      raise OptionParser::MissingArgument, '--tier' if options[:tiers].empty?
      raise OptionParser::MissingArgument, 'COMMAND' if command.empty?

      new(settings: Settings.read(options[:settings]), tiers: options[:tiers], grace: options[:grace],
          enforce: options[:enforce], command: command, out: out).run
    rescue OptionParser::ParseError, InvalidInput, SystemCallError => e
      warn("desired_state trigger: #{e.message}")
      43
    end

    # +enforce+: seconds between the runs of a node that has converged, nil for none.
    def initialize(settings:, tiers:, command:, out: $stdout, delivery: DELIVERY, grace: Command::GRACE, enforce: nil)
      raise InvalidInput, 'the setting state_dir is missing; the trigger keeps its locks there' if
        settings.state_dir.nil?

      @settings = settings
      @tiers = tiers.each { |tier| Name.check('tier', tier) }
      @command = Command.new(command, grace: grace)
      @out = out
      @delivery = delivery
      @enforce = enforce
      @due = Due.new(dir: File.join(settings.state_dir, 'due'), node: settings.node_name)
    end

    # Returns the exit code.
    def run
      coalesce { needed? ? run_command : 0 }
    end

    private

    # Yields in one process at a time; returns 0 at once if another process is already waiting.
    def coalesce
      FileUtils.mkdir_p(@settings.state_dir, mode: 0o700)
      open_lock('trigger.wait') do |waiting|
        return log('another trigger is already waiting', 0) unless waiting.flock(File::LOCK_EX | File::LOCK_NB)

        open_lock('trigger.run') do |running|
          running.flock(File::LOCK_EX)
          waiting.flock(File::LOCK_UN) # from here on, a new trigger queues behind this one
          yield
        end
      end
    end

    def open_lock(name, &block)
      File.open(File.join(@settings.state_dir, name), File::RDWR | File::CREAT, 0o600, &block)
    end

    # Whether there is a tier whose assignment this machine has not reported as succeeded since it booted; waits for this
    # node's moment. A kept report counts, and is sent if no run is needed; a run would replace it. If Consul cannot be read,
    # the run reports why.
    def needed?
      return true if its_moment?(unconverged)
      return log('running: no run has succeeded since the machine booted', true) if Machine.booted?(@settings.state_dir)
      return log('running: to mend drift, if there is any', true) if enforced?

      outbox.flush
      log('nothing to do: every assignment has been reported as succeeded', false)
    rescue Error => e
      log("running: cannot tell whether it is necessary: #{e.message}", true)
    end

    def enforced?
      @enforce && @due.enforced?(@enforce, Machine.succeeded_at(@settings.state_dir))
    end

    # False once there is no tier left to converge. The newest assignment counts: one that comes meanwhile may have no delay.
    def its_moment?(pending)
      until pending.empty?
        first, left = pending.map { |one| [one, seconds_left(one)] }.min_by(&:last)
        return true unless left.positive?

        announce(first, left)
        pause(first, left)
        pending = newest(pending)
      end
      false
    end

    def announce(pending, left)
      return if pending.assignment == @announced

      log("waiting #{left.ceil} s for this node's moment to begin with #{pending.tier}", nil)
      @announced = pending.assignment
    end

    def seconds_left(pending)
      pending.assignment ? @due.seconds_left(pending.tier, pending.assignment) : 0.0
    end

    # Waits for at most so many seconds, or until the tier changes.
    def pause(pending, seconds)
      seconds = [seconds, @tiers.one? ? LONGEST_WATCH : LONGEST_WATCH_OF_ONE].min
      @settings.kv.changed?(@settings.keys.desired(pending.tier), index: pending.index, seconds: seconds)
    rescue ConsulUnavailable
      sleep([seconds, LONGEST_WATCH_OF_ONE].min)
    end

    # What Consul says now. While it is unavailable, nodes do not begin all at once either.
    def newest(pending)
      unconverged
    rescue ConsulUnavailable
      pending
    end

    def unconverged
      @tiers.filter_map { |tier| pending(tier) }
    end

    # Nil if the tier has converged.
    def pending(tier)
      key = @settings.keys.desired(tier)
      desired = @settings.kv.get(key)
      report = outbox.last_report(@settings.keys.report(tier, @settings.node_name))
      assignment = desired && Desired.parse(key, desired.value).assignment_for(@settings.node_name)
      return if report && !of_other_machine?(report) && reached?(assignment, report)

      Pending.new(tier: tier, assignment: assignment, index: desired ? desired.modify_index : 0)
    end

    def reached?(assignment, report)
      return report.converged_on?(assignment) if assignment

      # A tier that was never declared has its recipe's default.
      report['source'] == 'default' && report['status'] == 'succeeded'
    end

    def of_other_machine?(report)
      !report['node_id'].nil? && report.of_other_machine?(@settings.kv.node_id(@settings.node_name))
    end

    def run_command
      code = @command.run
      return log("#{@command} cannot be started", 127) if code.nil?

      deliver unless @command.stopped?
      code
    end

    # An outcome that the run could not report need not wait for the next run.
    def deliver
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + @delivery
      until outbox.flush.zero?
        return if Process.clock_gettime(Process::CLOCK_MONOTONIC) + DELIVERY_PAUSE > deadline

        sleep(DELIVERY_PAUSE)
      end
    end

    def outbox
      @outbox ||= Outbox.new(kv: @settings.kv, dir: DesiredState.outbox_dir(@settings.state_dir), logger: Log.new(@out))
    end

    def log(text, result)
      @out.puts("desired_state trigger: #{text}")
      result
    end

    # The outbox's logger outside Chef.
    Log = Struct.new(:out) do
      def info(text)
        out.puts(text)
      end
      alias_method :error, :info
    end
  end
end

exit DesiredState::Trigger.main(ARGV) if $PROGRAM_NAME == __FILE__
