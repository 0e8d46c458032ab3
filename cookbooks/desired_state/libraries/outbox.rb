# frozen_string_literal: true

require 'fileutils'
require 'json'
require_relative 'consul_kv'
require_relative 'report'
require_relative 'whole_file'

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
      older = kept_report(key)
      forget(key) # an older one must not come after this one
      @kv.put(key, report.to_json, timeout: TIMEOUT)
      true
    rescue ConsulUnavailable => e
      keep ? keep_report(key, telling(older, report), e) : complain(report, e)
      false
    rescue StandardError => e
      complain(report, e)
      false
    end

    # What this node last reported under a key: what Consul has, or what is kept where that is newer; nil when there is
    # nothing. Raises ConsulError, or MalformedDocument.
    def last_report(key)
      kept = kept_report(key)
      entry = @kv.get(key)
      return kept if entry.nil? || (kept && !superseded?(key, entry, kept))

      Report.parse(key, entry.value)
    rescue ConsulUnavailable
      kept || raise
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
        WholeFile.remove(path)
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

      report = report.following(standing_report(row['key'], standing))
      is_sent = !superseded?(row['key'], standing, report) &&
                @kv.put(row['key'], report.to_json, timeout: TIMEOUT, cas: standing ? standing.modify_index : 0)
      @logger&.info("desired_state: #{is_sent ? 'sent' : 'dropped, since there is a newer one,'} the kept report " \
                    "#{report['status']} of run #{report['run_id']}")
      WholeFile.remove(path) if File.read(path, encoding: Encoding::UTF_8) == text # not what another run has kept since
    end

    # Whether the key holds the report of a later run.
    def superseded?(key, standing, report)
      found = standing_report(key, standing)
      !found.nil? && found['started_at'] > report['started_at']
    end

    # The report that Consul has, nil when there is none that can be read.
    def standing_report(key, standing)
      standing && Report.parse(key, standing.value)
    rescue MalformedDocument
      nil
    end

    def keep_report(key, report, error)
      return complain(report, error) if @dir.nil?

      FileUtils.mkdir_p(@dir, mode: 0o700)
      WholeFile.write(path_of(key), JSON.generate('key' => key, 'report' => report.fields))
      @logger&.error("desired_state: could not report #{report['status']}, kept for the next run: #{error.message}")
    rescue SystemCallError => e
      complain(report, e)
    end

    # A run that has read no assignment has changed nothing: what the run before it came to says more.
    def telling(older, report)
      report['generation'].nil? && older ? older : report
    end

    def complain(report, error)
      @logger&.error("desired_state: could not report #{report['status']} of #{report['tier'] || 'the run'}: " \
                     "#{error.class}: #{error.message}")
    end

    def forget(key)
      WholeFile.remove(path_of(key)) if @dir
    end

    # The report that is kept for a key, nil when there is none that can be read.
    def kept_report(key)
      return if @dir.nil?

      path = path_of(key)
      Report.parse(path, JSON.generate(JSON.parse(File.read(path, encoding: Encoding::UTF_8)).fetch('report')))
    rescue StandardError
      nil # flush says so
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
