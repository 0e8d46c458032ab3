# frozen_string_literal: true

require 'json'

# The documents that pytest also reads.
module Contract
  DIRECTORY = File.expand_path('../../../../tests/contract', __dir__)

  # The entries of one file; there is at least one.
  def self.load(name)
    entries = JSON.parse(File.read(File.join(DIRECTORY, name), encoding: Encoding::UTF_8))
    raise "#{name} is empty" if entries.empty?

    entries
  end
end
