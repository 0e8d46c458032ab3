# frozen_string_literal: true

module DesiredState
  # A command that may take long, and what becomes of it when this process is told to stop.
  class Command
    GRACE = 90.0 # seconds

    # +arguments+: the program and its arguments; +grace+: how long it may go on after this process got SIGTERM. Then it gets
    # SIGINT, upon which chef-client ends what it runs and reports that it was interrupted.
    def initialize(arguments, grace: GRACE)
      @arguments = arguments
      @grace = grace
      @is_stopped = false
    end

    # Runs it to its end. Returns its exit code, 128 and the number of the signal that ended it, or nil when it cannot be
    # started.
    def run
      before = %w(TERM INT).to_h { |signal| [signal, trap(signal) { stop if signal == 'TERM' }] } # a terminal's SIGINT it gets itself
      @pid = Process.spawn(*@arguments)
      status = Process.wait2(@pid).last
      status.exitstatus || 128 + status.termsig
    rescue SystemCallError
      nil
    ensure
      @killer&.kill
      before&.each { |signal, handler| trap(signal, handler || 'DEFAULT') }
    end

    # Whether SIGTERM has come.
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
