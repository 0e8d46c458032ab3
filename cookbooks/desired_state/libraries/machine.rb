# frozen_string_literal: true

require 'fileutils'
require_relative 'whole_file'

module DesiredState
  # Which boot of this machine this is, and whether a run has succeeded since it booted.
  module Machine
    BOOT_ID = '/proc/sys/kernel/random/boot_id'
    FIRST_PROCESS = '/proc/1/stat'
    START_TIME = 20 # position of the field in /proc/1/stat after the command's name, see proc(5)

    module_function

    # A text that differs after each boot, also of a container; nil if it cannot be read.
    def boot
      started = File.read(FIRST_PROCESS).rpartition(')').last.split.fetch(START_TIME - 1)
      "#{File.read(BOOT_ID).strip} #{started}"
    rescue SystemCallError, IndexError
      nil
    end

    # Records in a state directory that a run has succeeded since this boot.
    def remember_boot(state_dir)
      FileUtils.mkdir_p(state_dir, mode: 0o700)
      WholeFile.write(File.join(state_dir, 'boot'), boot.to_s)
    rescue SystemCallError
      nil # costs only one more run of Chef
    end

    # When the last run that succeeded ended, by this machine's clock. Raises SystemCallError if none has.
    def succeeded_at(state_dir)
      File.mtime(File.join(state_dir, 'boot'))
    end

    # Whether no run has succeeded since the boot: the services of a tier need not be enabled at boot.
    def booted?(state_dir)
      current = boot
      !current.nil? && File.read(File.join(state_dir, 'boot')) != current
    rescue SystemCallError
      true
    end
  end
end
