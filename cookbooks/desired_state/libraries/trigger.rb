# frozen_string_literal: true

require 'fileutils'
require 'optparse'
require_relative 'command'
require_relative 'desired'
require_relative 'machine'
require_relative 'outbox'
require_relative 'settings'

module DesiredState
  # Runs chef-client when a tier's desired state may have changed: what a node's Consul watch and timer call.
  #
  #   ruby trigger.rb --settings /etc/chef/desired_state.json --tier web -- chef-client
  #
  # Triggers come in bursts and from several sides. One run is in progress and at most one waits for it; every other
  # trigger ends at once, since the one that waits will read the newest state. A node that has reported its assignment as
  # succeeded since it was booted does not run at all. The exit code is that of the command, 0 when it did not run.
  class Trigger
    DELIVERY = 60 # seconds to go on sending reports that Consul could not be given during the run
    DELIVERY_PAUSE = 1.0

    def self.main(arguments, out: $stdout)
      options = { tiers: [], grace: Command::GRACE }
      command = OptionParser.new do |parser|
        parser.banner = 'usage: trigger.rb --settings FILE --tier TIER [--tier TIER …] -- COMMAND …'
        parser.on('--settings FILE', 'what desired_state_install wrote') { |path| options[:settings] = path }
        parser.on('--tier TIER', 'a tier of this node') { |tier| options[:tiers] << tier }
        parser.on('--grace SECONDS', Float, 'how long the command may go on after SIGTERM') { |grace| options[:grace] = grace }
      end.parse(arguments)
      raise OptionParser::MissingArgument, '--settings' if options[:settings].nil?
      raise OptionParser::MissingArgument, '--tier' if options[:tiers].empty?
      raise OptionParser::MissingArgument, 'COMMAND' if command.empty?

      new(settings: Settings.read(options[:settings]), tiers: options[:tiers], grace: options[:grace],
          command: command, out: out).run
    rescue OptionParser::ParseError, InvalidInput, SystemCallError => e
      warn("desired_state trigger: #{e.message}")
      43
    end

    def initialize(settings:, tiers:, command:, out: $stdout, delivery: DELIVERY, grace: Command::GRACE)
      raise InvalidInput, 'the setting state_dir is missing: it is where the trigger keeps its locks' if
        settings.state_dir.nil?

      @settings = settings
      @tiers = tiers.each { |tier| Name.check('tier', tier) }
      @command = Command.new(command, grace: grace)
      @out = out
      @delivery = delivery
    end

    # Returns the exit code.
    def run
      coalesce { needed? ? run_command : 0 }
    end

    private

    # Yields in one process at a time; returns 0 at once when another one waits for that already.
    def coalesce
      FileUtils.mkdir_p(@settings.state_dir, mode: 0o700)
      open_lock('trigger.wait') do |waiting|
        return tell('another trigger waits already', 0) unless waiting.flock(File::LOCK_EX | File::LOCK_NB)

        open_lock('trigger.run') do |running|
          running.flock(File::LOCK_EX)
          waiting.flock(File::LOCK_UN) # from here on a new trigger queues behind this one
          yield
        end
      end
    end

    def open_lock(name, &block)
      File.open(File.join(@settings.state_dir, name), File::RDWR | File::CREAT, 0o600, &block)
    end

    # Whether there is a tier whose assignment this machine has not reported as succeeded since it was booted. A report
    # that is kept counts; only when it needs no run is it sent, since a run takes its place. Where Consul does not say, it
    # is for the run to find out why.
    def needed?
      return true unless @tiers.all? { |tier| converged?(tier) }
      return tell('runs, since no run has succeeded since the machine was booted', true) if Machine.booted?(@settings.state_dir)

      outbox.flush
      tell('every assignment has been reported as succeeded', false)
    rescue Error => e
      tell("runs, since it cannot tell whether it has to: #{e.message}", true)
    end

    def converged?(tier)
      key = @settings.keys.desired(tier)
      desired = @settings.kv.get(key)
      report = outbox.last_report(@settings.keys.report(tier, @settings.node_name))
      assignment = desired && Desired.parse(key, desired.value).assignment_for(@settings.node_name)
      return false if report.nil? || of_other_machine?(report)
      return report.converged_on?(assignment) if assignment

      # A tier that was never declared is what its recipe's default says.
      report['source'] == 'default' && report['status'] == 'succeeded'
    end

    def of_other_machine?(report)
      !report['node_id'].nil? && report.of_other_machine?(@settings.kv.node_id(@settings.node_name))
    end

    def run_command
      code = @command.run
      return tell("#{@command} cannot be started", 127) if code.nil?

      deliver unless @command.stopped?
      code
    end

    # The outcome that a run could not report need not wait for the next run.
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

    def tell(text, result)
      @out.puts("desired_state trigger: #{text}")
      result
    end

    # What the outbox logs to, outside of Chef.
    Log = Struct.new(:out) do
      def info(text)
        out.puts(text)
      end
      alias_method :error, :info
    end
  end
end

exit DesiredState::Trigger.main(ARGV) if $PROGRAM_NAME == __FILE__
