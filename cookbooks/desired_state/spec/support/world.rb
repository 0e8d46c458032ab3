# frozen_string_literal: true

require 'fileutils'
require 'json'
require 'securerandom'
require 'stringio'
require 'tmpdir'
require_relative 'peer'

# What examples use: the real Consul below a prefix of their own, peers, a directory, and factories of documents.
module World
  NODE = 'web-1'
  ENVIRONMENT = 'prod'

  # Records log lines as "level: text".
  class Log
    attr_reader :lines

    def initialize
      @lines = []
    end

    %i(info warn error).each do |level|
      define_method(level) { |text| lines << "#{level}: #{text}" }
    end
  end

  def consul_url
    ENV.fetch('CONSUL_HTTP_ADDR')
  end

  def kv
    @kv ||= DesiredState::ConsulKV.new(url: consul_url)
  end

  def kv_at(url, **options)
    DesiredState::ConsulKV.new(url: url, **options)
  end

  def prefix
    @prefix ||= "spec-#{SecureRandom.hex(6)}"
  end

  def keys
    @keys ||= DesiredState::Keys.new(prefix: prefix, environment: ENVIRONMENT)
  end

  def directory
    @directory ||= Dir.mktmpdir('desired_state')
  end

  def log
    @log ||= Log.new
  end

  def peer(tls: nil, &answer)
    (@peers ||= []) << Peer.new(tls: tls, &answer)
    @peers.last
  end

  # An address at which nothing listens.
  def nowhere
    listener = TCPServer.new('127.0.0.1', 0)
    "http://127.0.0.1:#{listener.addr[1]}"
  ensure
    listener.close
  end

  def close_world
    (@peers || []).each(&:close)
    FileUtils.remove_entry(@directory) if @directory
    return unless @prefix

    uri = URI(consul_url)
    Net::HTTP.start(uri.host, uri.port, nil) { |http| http.delete("/v1/kv/#{@prefix}/?recurse=true") }
  end

  # --- factories -----------------------------------------------------------------------------------------------------

  def settings_given(**given)
    {
      'node_name' => NODE, 'environment' => ENVIRONMENT, 'prefix' => prefix, 'consul_url' => consul_url,
      'state_dir' => File.join(directory, 'state'), 'patience' => 0
    }.merge(given.transform_keys(&:to_s))
  end

  def settings(**given)
    DesiredState::Settings.new(settings_given(**given), env: {})
  end

  def assignment_fields(generation: 42, state: 'converged', values: { 'release' => '2.4.0' })
    { 'generation' => generation, 'state' => state, 'values' => values }
  end

  def desired_fields(canary: nil, **stable)
    stable = assignment_fields(**stable)
    {
      'schema' => 1, 'generation' => [stable['generation'], canary ? canary['generation'] : 0].max, 'stable' => stable,
      'canary' => canary, 'sequence' => nil, 'written_at' => '2026-11-22T08:00:00Z',
      'written_by' => { 'dag_id' => 'd', 'run_id' => 'r', 'task_id' => 't', 'map_index' => -1 }
    }
  end

  def canary_fields(threshold: 0, nodes: [], **assignment)
    assignment_fields(generation: 43, values: { 'release' => '2.5.0' }, **assignment).merge(
      'salt' => '43', 'threshold' => threshold, 'nodes' => nodes
    )
  end

  def desire(tier = 'web', **fields)
    kv.put(keys.desired(tier), JSON.generate(desired_fields(**fields)))
  end

  def report_fields(**fields)
    {
      'schema' => 1, 'node' => NODE, 'tier' => 'web', 'generation' => 42, 'state' => 'converged',
      'status' => 'succeeded', 'run_id' => 'run-1', 'started_at' => '2026-11-22T08:00:01Z', 'finished_at' => nil,
      'updated_resources' => 0, 'source' => 'consul', 'client' => 'chef 18', 'error' => nil
    }.merge(fields.transform_keys(&:to_s))
  end

  def report(**fields)
    DesiredState::Report.new(report_fields(**fields))
  end

  def report_key(tier = 'web')
    keys.report(tier, NODE)
  end

  # The node's report in Consul, nil if there is none.
  def reported(tier = 'web')
    stored(report_key(tier))
  end

  def stored(key)
    entry = kv.get(key)
    entry && JSON.parse(entry.value)
  end

  # Waits for an event in another process; the time limit is only there to end a broken suite.
  def wait_until(what)
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 30
    until yield
      raise "waited in vain for #{what}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

      sleep(0.02)
    end
  end
end
