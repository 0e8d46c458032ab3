# frozen_string_literal: true

# The example application.
module Shop
  # A process that Chef started and left running, known by its pid file. It stays in Chef's process group, so killing that
  # group, as a power cut would, kills it too.
  class Child
    GRACE = 5.0 # seconds to exit by itself
    SHOWN = 2.0 # seconds until the kernel shows the command of a process that has begun, on however busy a machine
    PAUSE = 0.05

    def initialize(command, home:)
      @command = command
      @home = home
    end

    # Whether the pid file's process is this command: another process may have got the number since.
    def running?
      !pid.nil? && File.binread("/proc/#{pid}/cmdline").split("\0") == @command
    rescue SystemCallError
      false
    end

    def start
      started = Process.spawn(*@command, chdir: @home, in: File::NULL, %i(out err) => [log, 'a'])
      Process.detach(started)
      File.write(pid_file, "#{started}\n")
      wait(SHOWN) { running? }
    end

    def stop
      return unless running?

      stopped = pid
      Process.kill('TERM', stopped)
      wait(GRACE) { !running? }
      Process.kill('KILL', stopped) if running?
    rescue Errno::ESRCH
      nil
    end

    private

    def wait(seconds)
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + seconds
      sleep(PAUSE) until yield || Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
    end

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
