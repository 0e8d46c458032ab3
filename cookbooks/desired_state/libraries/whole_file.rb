# frozen_string_literal: true

module DesiredState
  # Files that are there whole or not at all.
  module WholeFile
    module_function

    # Writes a file for its owner only. A full disk or a power cut leaves what was there before, and nothing beside it.
    # Raises SystemCallError.
    def write(path, content)
      temporary = "#{path}.#{Process.pid}"
      File.open(temporary, 'wb', 0o600) do |file|
        file.write(content)
        file.fsync
      end
      File.rename(temporary, path)
    rescue SystemCallError
      remove(temporary)
      raise
    end

    # Deletes a file that may be gone, or that cannot be had.
    def remove(path)
      File.delete(path)
    rescue SystemCallError
      nil
    end
  end
end
