# frozen_string_literal: true

module DesiredState
  # A command that may take long, and that gets some grace when this process has to stop.
  class Command
    GRACE = 90.0 # seconds

    # +arguments+: the program and its arguments; +grace+: seconds for which it may continue after this process gets SIGTERM.
    # Then it gets SIGINT, on which chef-client stops its children and reports that it was interrupted.
    def initialize(arguments, grace: GRACE)
      @arguments = arguments
      @grace = grace
      @is_stopped = false
    end

    # Runs it to its end. Returns its exit code, 128 plus the number of the signal that killed it, or nil if it cannot be
    # started.
    def run
      before = %w(TERM INT).to_h { |signal| [signal, trap(signal) { stop if signal == 'TERM' }] } # a terminal sends SIGINT to it, too
      @pid = Process.spawn(*@arguments)
      status = Process.wait2(@pid).last
      status.exitstatus || 128 + status.termsig
    rescue SystemCallError
      nil
    ensure
      @killer&.kill
      before&.each { |signal, handler| trap(signal, handler || 'DEFAULT') }
    end

    # Whether this process got SIGTERM while the command ran.
    def stopped?
      @is_stopped
    end

    def to_s
      @arguments.first
    end

    private

    def stop
      @is_stopped = true
      @killer ||= Thread.new do
        sleep(@grace)
        Process.kill('INT', @pid)
      rescue SystemCallError
        nil # it has ended
      end
    end
  end
end
