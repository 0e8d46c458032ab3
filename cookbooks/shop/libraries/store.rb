# frozen_string_literal: true

require 'fileutils'
require 'json'
require 'time'

# The example application.
module Shop
  # The database: a file with the release of its schema and the migrations that led to it.
  class Store
    def initialize(directory)
      @path = File.join(directory, 'schema.json')
    end

    # The release of the schema, nil for an empty store.
    def release
      schema['release']
    end

    # Migrates the schema to a release, atomically, so that it is safe to interrupt and repeat.
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
