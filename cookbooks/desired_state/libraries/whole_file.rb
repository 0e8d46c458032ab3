# frozen_string_literal: true

module DesiredState
  # Files that are written completely or not at all.
  module WholeFile
    module_function

    # Writes a file that only its owner can read. A full disk or a power cut leaves the old content, and no temporary file.
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

    # Deletes a file if it exists and can be deleted.
    def remove(path)
      File.delete(path)
    rescue SystemCallError
      nil
    end
  end
end
