# frozen_string_literal: true

require 'fileutils'
require 'json'
require_relative 'consul_kv'
require_relative 'report'
require_relative 'whole_file'

module DesiredState
  # The outbox's directory below a state directory; a run fills it, the trigger empties it.
  def self.outbox_dir(state_dir)
    File.join(state_dir, 'outbox')
  end

  # Sends reports. Those that cannot be sent are kept on disk, one per key, until they can.
  class Outbox
    TIMEOUT = 2.0 # seconds; a report must not hold up a run

    # +dir+: the directory of kept reports, nil to keep none.
    def initialize(kv:, dir:, logger: nil)
      @kv = kv
      @dir = dir
      @logger = logger
    end

    # Sends a report in one short attempt; +keep+ puts it on disk if Consul is unavailable. Never raises.
    def send_report(key, report, keep:)
      older = kept_report(key)
      forget(key) # the older one must not be sent after this one
      @kv.put(key, report.to_json, timeout: TIMEOUT)
      true
    rescue ConsulUnavailable => e
      keep ? keep_report(key, more_telling(older, report), e) : complain(report, e)
      false
    rescue StandardError => e
      complain(report, e)
      false
    end

    # This node's last report for a key: Consul's, or the kept one if that is newer; nil if there is none. Raises
    # ConsulError or MalformedDocument.
    def last_report(key)
      kept = kept_report(key)
      entry = @kv.get(key)
      return kept if entry.nil? || (kept && !superseded?(key, entry, kept))

      Report.parse(key, entry.value)
    rescue ConsulUnavailable
      kept || raise
    end

    # Sends kept reports unless Consul has newer ones; returns how many are left. Never raises.
    def flush
      kept.count do |path|
        deliver(path)
        false
      rescue ConsulUnavailable
        true
      rescue StandardError => e
        @logger&.error("desired_state: dropped the kept report #{path}: #{e.class}: #{e.message}")
        WholeFile.remove(path)
        false
      end
    end

    private

    # A run that began on this node meanwhile has dropped the file or changed the key; neither is overwritten.
    def deliver(path)
      text = File.read(path, encoding: Encoding::UTF_8)
      row = JSON.parse(text)
      report = Report.parse(path, JSON.generate(row['report']))
      entry = @kv.get(row['key'])
      return unless File.exist?(path)

      report = report.following(report_in(row['key'], entry))
      is_sent = !superseded?(row['key'], entry, report) &&
                @kv.put(row['key'], report.to_json, timeout: TIMEOUT, cas: entry ? entry.modify_index : 0)
      @logger&.info("desired_state: #{is_sent ? 'sent' : 'dropped, since there is a newer one,'} the kept report " \
                    "#{report['status']} of run #{report['run_id']}")
      WholeFile.remove(path) if File.read(path, encoding: Encoding::UTF_8) == text # not what another run has kept since
    end

    # Whether the key holds the report of a later run.
    def superseded?(key, entry, report)
      found = report_in(key, entry)
      !found.nil? && found['started_at'] > report['started_at']
    end

    # The report that Consul has, nil if there is none or it cannot be read.
    def report_in(key, entry)
      entry && Report.parse(key, entry.value)
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

    # A run that has read no assignment has changed nothing, so the outcome of the run before it says more.
    def more_telling(older, report)
      report['generation'].nil? && older ? older : report
    end

    def complain(report, error)
      @logger&.error("desired_state: could not report #{report['status']} of #{report['tier'] || 'the run'}: " \
                     "#{error.class}: #{error.message}")
    end

    def forget(key)
      WholeFile.remove(path_of(key)) if @dir
    end

    # The report kept for a key, nil if there is none or it cannot be read.
    def kept_report(key)
      return if @dir.nil?

      path = path_of(key)
      Report.parse(path, JSON.generate(JSON.parse(File.read(path, encoding: Encoding::UTF_8)).fetch('report')))
    rescue StandardError
      nil # flush logs it
    end

    def kept
      return [] if @dir.nil?

      # The directory is no pattern: Windows' backslashes would be escapes in one.
      Dir.glob('*.json', base: @dir).sort.map { |name| File.join(@dir, name) }
    end

    # Keys consist of names, which have no '+'.
    def path_of(key)
      File.join(@dir, "#{key.tr('/', '+')}.json")
    end
  end
end
