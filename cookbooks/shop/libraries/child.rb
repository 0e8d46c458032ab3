# frozen_string_literal: true

# The example application.
module Shop
  # A process that was started and left running, known by its pid file. It stays in the process group of whoever ran Chef:
  # killing that group, as a power cut would, ends it too.
  class Child
    GRACE = 5.0 # seconds to end by itself
    PAUSE = 0.05

    def initialize(command, home:)
      @command = command
      @home = home
    end

    # Whether the process of the pid file is this command; the number may have been given to another one since.
    def running?
      !pid.nil? && File.binread("/proc/#{pid}/cmdline").split("\0") == @command
    rescue SystemCallError
      false
    end

    def start
      started = Process.spawn(*@command, chdir: @home, in: File::NULL, %i(out err) => [log, 'a'])
      Process.detach(started)
      File.write(pid_file, "#{started}\n")
    end

    def stop
      return unless running?

      stopped = pid
      Process.kill('TERM', stopped)
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + GRACE
      sleep(PAUSE) while running? && Process.clock_gettime(Process::CLOCK_MONOTONIC) < deadline
      Process.kill('KILL', stopped) if running?
    rescue Errno::ESRCH
      nil
    end

    private

    def pid
      Integer(File.read(pid_file), exception: false)
    rescue Errno::ENOENT
      nil
    end

    def pid_file
      File.join(@home, 'pid')
    end

    def log
      File.join(@home, 'log')
    end
  end
end
