# frozen_string_literal: true

require 'fileutils'
require 'optparse'
require_relative 'command'
require_relative 'desired'
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
  # not run at all. The exit code is the command's, or 0 if it did not run.
  class Trigger
    DELIVERY = 60 # seconds to keep trying to send reports after the run
    DELIVERY_PAUSE = 1.0

    def self.main(arguments, out: $stdout)
      options = { tiers: [], grace: Command::GRACE }
      command = OptionParser.new do |parser|
        parser.banner = 'usage: trigger.rb --settings FILE --tier TIER [--tier TIER …] -- COMMAND …'
        parser.on('--settings FILE', 'what desired_state_install wrote') { |path| options[:settings] = path }
        parser.on('--tier TIER', 'a tier of this node') { |tier| options[:tiers] << tier }
        parser.on('--grace SECONDS', Float, 'how long the command may continue after SIGTERM') { |grace| options[:grace] = grace }
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
      raise InvalidInput, 'the setting state_dir is missing; the trigger keeps its locks there' if
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

    # Whether there is a tier whose assignment this machine has not reported as succeeded since it booted. A kept report
    # counts, and is sent if no run is needed; a run would replace it. If Consul cannot be read, the run reports why.
    def needed?
      return true unless @tiers.all? { |tier| converged?(tier) }
      return log('running: no run has succeeded since the machine booted', true) if Machine.booted?(@settings.state_dir)

      outbox.flush
      log('nothing to do: every assignment has been reported as succeeded', false)
    rescue Error => e
      log("running: cannot tell whether it is necessary: #{e.message}", true)
    end

    def converged?(tier)
      key = @settings.keys.desired(tier)
      desired = @settings.kv.get(key)
      report = outbox.last_report(@settings.keys.report(tier, @settings.node_name))
      assignment = desired && Desired.parse(key, desired.value).assignment_for(@settings.node_name)
      return false if report.nil? || of_other_machine?(report)
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
