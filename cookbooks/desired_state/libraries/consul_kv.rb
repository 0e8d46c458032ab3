# frozen_string_literal: true

require 'forwardable'
require 'json'
require_relative 'consul_http'

module DesiredState
  # The few calls of Consul's HTTP API that a node makes, with the standard library only.
  #
  # Reads are retried for +patience+ seconds. The limit is a time, not a number of attempts, because a server without a
  # leader holds each request for about 7 s. Writes are sent once, since a retry could break +cas+ and +acquire+.
  class ConsulKV
    Entry = Struct.new(:key, :value, :create_index, :modify_index, keyword_init: true)

    # The entries below a prefix, and Consul's index of this answer.
    Listing = Struct.new(:entries, :index, keyword_init: true)

    READ_TIMEOUT = 8.0
    LIST_TIMEOUT = 30.0 # thousands of entries
    FIRST_PAUSE = 0.1
    LONGEST_PAUSE = 1.0

    extend Forwardable
    def_delegators :@http, :url, :request, :words
    private :request, :words

    # +url+ is http://HOST:PORT or https://HOST:PORT; +token+ an ACL token; +tls+ may have ca_file, cert_file, key_file
    # and verify (false accepts any certificate); +namespace+ and +partition+ are those of Consul Enterprise.
    def initialize(**connection)
      @http = ConsulHTTP.new(**connection)
    end

    # The entry under a key, or nil.
    def get(key, patience: 0)
      response = patiently(patience) { |timeout| request(Net::HTTP::Get.new("/v1/kv/#{key}"), timeout) }
      return if response.code == '404' && consul?(response)
      raise rejected(response, "a read of #{key}") unless response.code == '200' && consul?(response)

      row = decoded(response, "a read of #{key}") { |rows| rows.is_a?(Array) && rows.first.is_a?(Hash) && rows.first }
      entry(row)
    end

    # All entries below a prefix, as the leader has them. Consul leaves out what the token may not read, without a word.
    def list(prefix)
      response = request(Net::HTTP::Get.new("/v1/kv/#{prefix}?recurse=true&consistent=true"), LIST_TIMEOUT)
      index = response['X-Consul-Index'].to_i
      return Listing.new(entries: [], index: index) if response.code == '404' && consul?(response)

      rows = decoded(response, "a listing of #{prefix}") { |list| list.is_a?(Array) && list.all?(Hash) && list }
      Listing.new(entries: rows.map { |row| entry(row) }, index: index)
    end

    # Waits until a key has changed after +index+, at most +seconds+. With +below+: any key that begins like it. Whether it
    # has changed.
    def changed?(key, index:, seconds:, below: false)
      query = { index: index, wait: "#{(seconds * 1000).ceil}ms" }
      query[:recurse] = true if below
      timeout = (seconds * 17 / 16.0) + READ_TIMEOUT # Consul adds up to a sixteenth
      response = request(Net::HTTP::Get.new("/v1/kv/#{key}?#{URI.encode_www_form(query)}"), timeout)
      raise rejected(response, "a watch of #{key}") unless %w(200 404).include?(response.code) && consul?(response)

      response['X-Consul-Index'].to_i > index
    end

    # Deletes a key if it has not changed since +cas+, its ModifyIndex; whether Consul did.
    def delete(key, cas:)
      response = request(Net::HTTP::Delete.new("/v1/kv/#{key}?cas=#{cas}"), READ_TIMEOUT)
      return response.body.strip == 'true' if response.code == '200'

      raise rejected(response, "DELETE #{key}")
    end

    # Whether Consul accepted the write; with +cas+, +acquire+ or +release+ it may refuse.
    def put(key, value, timeout: READ_TIMEOUT, **params)
      path = "/v1/kv/#{key}"
      path += "?#{URI.encode_www_form(params)}" unless params.empty?
      case write(path, value, timeout).body.to_s.strip
      when 'true' then true
      when 'false' then false
      else raise RequestRejected, "#{url} did not answer a write of #{key} as Consul does; check the address"
      end
    end

    # Consul's id of the agent's machine; nil if the token may not read it, if the agent does not give it, or if the agent
    # belongs to another node. Never raises: no run depends on it.
    def node_id(node, timeout: READ_TIMEOUT)
      config = agent(timeout)&.fetch('Config', nil)
      id, name = config.values_at('NodeID', 'NodeName') if config.is_a?(Hash)
      id if name == node && id.is_a?(String) && !id.empty?
    rescue ConsulError
      nil
    end

    # The node's meta data, as its agent has it. Raises InvalidInput if the agent belongs to another node.
    def node_meta(node)
      known = agent(READ_TIMEOUT).to_h
      name = known['Config']['NodeName'] if known['Config'].is_a?(Hash)
      return known['Meta'].to_h if name == node

      raise InvalidInput, "the agent at #{url} belongs to node #{name.inspect}, not to #{node}: give the node's meta data in " \
                          'the setting meta'
    end

    # The id of a new session. Its locks are released if it is not renewed for +ttl+ seconds (Consul takes up to twice that).
    def create_session(name:, ttl:, lock_delay: 5)
      body = { Name: name, TTL: "#{ttl}s", Behavior: 'release', LockDelay: "#{lock_delay}s" }
      response = write('/v1/session/create', JSON.generate(body), READ_TIMEOUT)
      decoded(response, 'the creation of a session') { |session| session.is_a?(Hash) && session['ID'] }
    end

    # False if the session has expired.
    def renew_session(id)
      response = request(Net::HTTP::Put.new("/v1/session/renew/#{id}"), READ_TIMEOUT)
      return false if response.code == '404'

      response.code == '200' || raise(rejected(response, 'the renewal of a session'))
    end

    def destroy_session(id)
      write("/v1/session/destroy/#{id}", nil, READ_TIMEOUT)
    end

    private

    def entry(row)
      Entry.new(key: row['Key'], value: row['Value'].to_s.unpack1('m'), create_index: row['CreateIndex'],
                modify_index: row['ModifyIndex'])
    end

    # What the agent says about itself.
    def agent(timeout)
      response = request(Net::HTTP::Get.new('/v1/agent/self'), timeout)
      decoded(response, 'the agent\'s own configuration') { |agent| agent.is_a?(Hash) && agent } if response.code == '200'
    end

    def write(path, body, timeout)
      request = Net::HTTP::Put.new(path)
      request.body = body
      response = request(request, timeout)
      response.code == '200' ? response : raise(rejected(response, "PUT #{path.sub(/\?.*/, '')}"))
    end

    # Retries until Consul is available or +patience+ is over; yields the time limit of one attempt.
    def patiently(patience)
      deadline = now + patience
      pause = FIRST_PAUSE
      begin
        yield (deadline - now).clamp(1.0, READ_TIMEOUT)
      rescue ConsulUnavailable
        raise if now + pause > deadline

        sleep(pause)
        pause = [pause * 2, LONGEST_PAUSE].min
        retry
      end
    end

    # What the block picks from the answer's JSON.
    def decoded(response, what)
      yield(JSON.parse(response.body)) || raise(rejected(response, what))
    rescue JSON::ParserError
      raise rejected(response, what)
    end

    def consul?(response)
      !response['X-Consul-Index'].nil?
    end

    def rejected(response, what)
      RequestRejected.new("#{url} answered #{response.code} to #{what}, not as Consul does: #{words(response)}")
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
