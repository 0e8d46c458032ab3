# frozen_string_literal: true

require 'open3'

module DesiredState
  # Whether a failed run was cut off from outside: by SIGINT, by SIGTERM to its unit, by a shutdown. Then its errors do not
  # mean that the release failed.
  class Interruption
    SIGNALS = %w(INT TERM).freeze
    EXIT_CODES = [2, 3].freeze # with which Chef exits after these signals
    SYSTEM_STATE = %w(timeout 5 systemctl is-system-running).freeze

    # For the run that begins in this process; signals still reach their earlier handlers.
    def self.watch
      (@watch ||= new).tap(&:watch)
    end

    # Like #interrupted?, for a run that was not watched.
    def self.ended_by_signal?(exception)
      exception.is_a?(SignalException) || (exception.is_a?(SystemExit) && EXIT_CODES.include?(exception.status)) ||
        stopping?
    end

    # Whether systemd is shutting the machine down.
    def self.stopping?
      Open3.capture2e(*SYSTEM_STATE).first.strip == 'stopping'
    rescue SystemCallError
      false # there is no systemd
    end

    def initialize
      @is_signalled = false
      @is_idle = false
      @before = {}
      @handlers = SIGNALS.to_h { |signal| [signal, proc { note(signal) }] }
    end

    # Forgets the signals of an earlier run, after which Chef may have set its own handlers again.
    def watch
      @is_signalled = false
      @handlers.each do |signal, handler|
        before = trap(signal, handler)
        trap(signal, before) if before == 'IGNORE' # as under nohup: keep ignoring it
        @before[signal] = before unless before.equal?(handler)
      end
    end

    # Lets SIGTERM end the block at once, as nothing has begun that Chef would have to finish.
    def while_idle
      @is_idle = true
      yield
    ensure
      @is_idle = false
    end

    # Whether an interruption caused +exception+, which ended the run.
    def interrupted?(exception)
      @is_signalled || exception.is_a?(SignalException) || Interruption.stopping?
    end

    private

    def note(signal)
      @is_signalled = true
      raise SignalException, signal if @is_idle && signal == 'TERM'

      case (before = @before[signal])
      when Proc then before.call(Signal.list.fetch(signal))
      when 'EXIT' then exit
      else # Ruby's own
        trap(signal, 'DEFAULT')
        Process.kill(signal, Process.pid)
      end
    end
  end
end
