# frozen_string_literal: true

require 'fileutils'
require 'json'
require_relative 'consul_kv'
require_relative 'report'

module DesiredState
  # Where below a state directory the outbox is: the run that fills it and the trigger that empties it share it.
  def self.outbox_dir(state_dir)
    File.join(state_dir, 'outbox')
  end

  # Sends reports, and keeps on disk those that Consul could not be given, one for each key, until they can be sent.
  class Outbox
    TIMEOUT = 2.0 # seconds; a report must not hold a run up

    # +dir+: where kept reports lie, nil to keep none.
    def initialize(kv:, dir:, logger: nil)
      @kv = kv
      @dir = dir
      @logger = logger
    end

    # Sends a report in one short attempt; +keep+ puts it on disk when Consul is away. Raises nothing.
    def send_report(key, report, keep:)
      forget(key) # an older one must not come after this one
      @kv.put(key, report.to_json, timeout: TIMEOUT)
      true
    rescue ConsulUnavailable => e
      keep ? keep_report(key, report, e) : complain(report, e)
      false
    rescue StandardError => e
      complain(report, e)
      false
    end

    # Sends what was kept, where nothing newer stands in Consul; returns how many reports are left. Raises nothing.
    def flush
      kept.count do |path|
        deliver(path)
        false
      rescue ConsulUnavailable
        true
      rescue StandardError => e
        @logger&.error("desired_state: the kept report #{path} is dropped: #{e.class}: #{e.message}")
        discard(path)
        false
      end
    end

    private

    # A run on this node that began meanwhile has dropped the file or changed the key, so neither is overwritten.
    def deliver(path)
      text = File.read(path, encoding: Encoding::UTF_8)
      row = JSON.parse(text)
      report = Report.parse(path, JSON.generate(row['report']))
      standing = @kv.get(row['key'])
      return unless File.exist?(path)

      is_sent = !superseded?(row['key'], standing, report) &&
                @kv.put(row['key'], report.to_json, timeout: TIMEOUT, cas: standing ? standing.modify_index : 0)
      @logger&.info("desired_state: #{is_sent ? 'sent' : 'dropped, since there is a newer one,'} the kept report " \
                    "#{report['status']} of run #{report['run_id']}")
      discard(path) if File.read(path, encoding: Encoding::UTF_8) == text # not what another run has kept since
    end

    # Whether the key holds the report of a later run.
    def superseded?(key, standing, report)
      return false if standing.nil?

      Report.parse(key, standing.value)['started_at'] > report['started_at']
    rescue MalformedDocument
      false
    end

    def keep_report(key, report, error)
      return complain(report, error) if @dir.nil?

      FileUtils.mkdir_p(@dir, mode: 0o700)
      temporary = "#{path_of(key)}.#{Process.pid}"
      File.write(temporary, JSON.generate('key' => key, 'report' => report.fields), perm: 0o600)
      File.rename(temporary, path_of(key))
      @logger&.error("desired_state: could not report #{report['status']}, kept for the next run: #{error.message}")
    rescue SystemCallError => e
      complain(report, e)
    end

    def complain(report, error)
      @logger&.error("desired_state: could not report #{report['status']} of #{report['tier'] || 'the run'}: " \
                     "#{error.class}: #{error.message}")
    end

    def forget(key)
      discard(path_of(key)) if @dir
    end

    def discard(path)
      File.delete(path)
    rescue SystemCallError
      nil # it is gone, or cannot be had; then the next send decides
    end

    def kept
      @dir ? Dir[File.join(@dir, '*.json')].sort : []
    end

    # Keys are made of names, which have no '+'.
    def path_of(key)
      File.join(@dir, "#{key.tr('/', '+')}.json")
    end
  end
end
