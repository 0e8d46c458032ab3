# frozen_string_literal: true

require 'fileutils'
require_relative 'snapshot'
require_relative 'whole_file'

module DesiredState
  # Reads each tier at most once per run, so that a change during the run can neither mix two generations nor be reported
  # as done.
  class Reader
    POLICIES = %i(fail last_known fail_late).freeze

    attr_reader :snapshots

    # +cache_dir+: keeps the last document of each tier for +:last_known+; nil to keep none.
    def initialize(settings:, cache_dir:)
      @settings = settings
      @cache_dir = cache_dir
      @snapshots = {}
      @options = {}
      @is_away = false
    end

    # The snapshot of a tier. Raises NoDesiredState if the tier was never declared and there is no +default+ (a state),
    # ConsulUnavailable unless +on_unavailable+ is :last_known and this node has read the tier before, MalformedDocument,
    # and AccessDenied.
    def fetch(tier, default: nil, on_unavailable: :fail)
      unless POLICIES.include?(on_unavailable)
        raise InvalidInput, "on_unavailable must be one of #{POLICIES.map(&:inspect).join(', ')}, " \
                            "not #{on_unavailable.inspect}"
      end

      @options[tier] ||= [default, on_unavailable]
      @snapshots[tier] ||= read(tier, *@options[tier])
    end

    # The snapshot of a tier as it is now: for a run that has waited and not compiled anything of it.
    def read_again(tier)
      @snapshots[tier] = read(tier, *@options[tier])
    end

    # Forgets the snapshot of a tier that the run will not compile.
    def forget(tier)
      @snapshots.delete(tier)
    end

    private

    def read(tier, default, on_unavailable)
      key = @settings.keys.desired(tier)
      entry = get(key)
      return from_default(tier, key, default) if entry.nil?

      snapshot = snapshot(tier, key, entry.value, 'consul')
      remember(tier, entry.value)
      snapshot
    rescue ConsulUnavailable => e
      raise unless on_unavailable == :last_known

      recall(tier, key) || raise(ConsulUnavailable, "#{e.message}; this node has no last known state of #{tier}")
    end

    # Waiting for Consul once per run is enough.
    def get(key)
      @settings.kv.get(key, patience: @is_away ? 0 : @settings.patience)
    rescue ConsulUnavailable
      @is_away = true
      raise
    end

    def from_default(tier, key, default)
      if default.nil?
        raise NoDesiredState, "#{key} does not exist: declare the tier's desired state, or give the recipe a default"
      end

      assignment = Assignment.new(generation: 0, state: Name.check('state', default.to_s), values: {}.freeze).freeze
      Snapshot.new(tier: tier, assignment: assignment, source: 'default')
    end

    def snapshot(tier, key, text, source)
      Snapshot.new(tier: tier, assignment: Desired.parse(key, text).assignment_for(@settings.node_name), source: source)
    end

    def cache_file(tier)
      File.join(@cache_dir, "#{@settings.keys.desired(tier).tr('/', '+')}.json")
    end

    def remember(tier, text)
      return if @cache_dir.nil?

      FileUtils.mkdir_p(@cache_dir, mode: 0o700)
      WholeFile.write(cache_file(tier), text)
    rescue SystemCallError
      nil # a full disk must not fail a run that has read its state; :last_known complains if it ever misses the file
    end

    def recall(tier, key)
      return if @cache_dir.nil? || !File.exist?(cache_file(tier))

      snapshot(tier, key, File.binread(cache_file(tier)), 'cache')
    rescue MalformedDocument
      nil
    end
  end
end
