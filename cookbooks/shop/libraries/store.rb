# frozen_string_literal: true

require 'fileutils'
require 'json'
require 'time'

# The example application.
module Shop
  # The database: a file that says which release its schema has, and which migrations brought it there.
  class Store
    def initialize(directory)
      @path = File.join(directory, 'schema.json')
    end

    # The release that the schema has, nil for an empty store.
    def release
      schema['release']
    end

    # Brings the schema to a release, whole or not at all, so that it may be cut off and done again.
    def migrate(release, by:)
      migrations = schema.fetch('migrations', []) + [{ 'to' => release, 'by' => by, 'at' => Time.now.utc.iso8601 }]
      FileUtils.mkdir_p(File.dirname(@path))
      File.write("#{@path}.new", "#{JSON.pretty_generate('release' => release, 'migrations' => migrations)}\n")
      File.rename("#{@path}.new", @path)
    end

    private

    def schema
      JSON.parse(File.read(@path))
    rescue Errno::ENOENT
      {}
    end
  end
end
