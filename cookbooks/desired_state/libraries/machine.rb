# frozen_string_literal: true

require 'fileutils'
require_relative 'whole_file'

module DesiredState
  # Since when this machine has been up, and whether a run has succeeded since.
  module Machine
    BOOT_ID = '/proc/sys/kernel/random/boot_id'
    FIRST_PROCESS = '/proc/1/stat'
    START_TIME = 20 # among the fields of /proc/1/stat after the command's name, see proc(5)

    module_function

    # Text that is another one after each boot, of a container too; nil where that cannot be told.
    def boot
      started = File.read(FIRST_PROCESS).rpartition(')').last.split.fetch(START_TIME - 1)
      "#{File.read(BOOT_ID).strip} #{started}"
    rescue SystemCallError, IndexError
      nil
    end

    # Remembers in a state directory that a run has succeeded since this boot.
    def remember_boot(state_dir)
      FileUtils.mkdir_p(state_dir, mode: 0o700)
      WholeFile.write(File.join(state_dir, 'boot'), boot.to_s)
    rescue SystemCallError
      nil # then the trigger runs Chef once more
    end

    # Whether no run has succeeded since: what recipes start may not be started by the machine itself.
    def booted?(state_dir)
      current = boot
      !current.nil? && File.read(File.join(state_dir, 'boot')) != current
    rescue SystemCallError
      true
    end
  end
end
