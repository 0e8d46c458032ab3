# frozen_string_literal: true

require 'json'
require 'net/http'
require 'openssl'
require 'timeout'
require 'uri'
require_relative 'errors'

module DesiredState
  # The few calls of Consul's HTTP API that a node makes, with the standard library only.
  #
  # Reads are retried for +patience+ seconds. The limit is a time, not a number of attempts, because a server without a
  # leader holds each request for about 7 s. Writes are sent once, since a retry could break +cas+ and +acquire+.
  class ConsulKV
    Entry = Struct.new(:value, :modify_index, keyword_init: true)

    OPEN_TIMEOUT = 2.0
    READ_TIMEOUT = 8.0
    FIRST_PAUSE = 0.1
    LONGEST_PAUSE = 1.0
    LONGEST_ANSWER = 4 * 1024 * 1024 # bytes; Consul's default limit for a value is 512 KiB
    NETWORK_ERRORS = [
      SystemCallError, SocketError, IOError, Timeout::Error, Net::ProtocolError, Net::HTTPBadResponse,
      Net::HTTPHeaderSyntaxError
    ].freeze

    # As OpenSSL 1.1 and 3 word it; worth a retry, unlike a rejected certificate.
    HANDSHAKE_CUT_SHORT = /unexpected eof|SYSCALL/.freeze

    attr_reader :url

    # +url+ is http://HOST:PORT or https://HOST:PORT; +token+ an ACL token; +tls+ may have ca_file, cert_file, key_file
    # and verify (false accepts any certificate); +namespace+ and +partition+ are those of Consul Enterprise.
    def initialize(url:, token: nil, tls: {}, namespace: nil, partition: nil)
      uri = parse(url)
      @url = "#{uri.scheme}://#{uri.host}:#{uri.port}"
      @host = uri.hostname
      @port = uri.port
      @headers = { 'X-Consul-Token' => token, 'X-Consul-Namespace' => namespace, 'X-Consul-Partition' => partition }.compact
      @to_check = partition ? 'partition' : namespace && 'namespace'
      @tls = uri.scheme == 'https' ? read_tls(tls) : nil
    end

    # The entry under a key, or nil.
    def get(key, patience: 0)
      response = patiently(patience) { |timeout| request(Net::HTTP::Get.new("/v1/kv/#{key}"), timeout) }
      return if response.code == '404' && consul?(response)
      raise rejected(response, "a read of #{key}") unless response.code == '200' && consul?(response)

      row = decoded(response, "a read of #{key}") { |rows| rows.is_a?(Array) && rows.first.is_a?(Hash) && rows.first }
      Entry.new(value: row['Value'].to_s.unpack1('m'), modify_index: row['ModifyIndex'])
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
      response = request(Net::HTTP::Get.new('/v1/agent/self'), timeout)
      return unless response.code == '200'

      config = decoded(response, 'the agent\'s own configuration') { |agent| agent.is_a?(Hash) && agent['Config'] }
      id, name = config.values_at('NodeID', 'NodeName') if config.is_a?(Hash)
      id if name == node && id.is_a?(String) && !id.empty?
    rescue ConsulError
      nil
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

    def parse(url)
      uri = URI(url)
      return uri if uri.is_a?(URI::HTTP) && uri.hostname && !uri.userinfo && ['', '/'].include?(uri.path) && !uri.query

      raise InvalidInput, "Consul's address must have the form http://HOST:PORT or https://HOST:PORT, not " \
                          "#{without_user(url)}"
    rescue URI::InvalidURIError
      raise InvalidInput, "Consul's address must be a URL, not #{without_user(url)}"
    end

    # Keeps a password out of logs and reports.
    def without_user(url)
      url.to_s.sub(%r{//.*@}, '//…@')
    end

    def read_tls(tls)
      {
        ca_file: tls[:ca_file],
        cert: tls[:cert_file] && OpenSSL::X509::Certificate.new(File.read(tls[:cert_file])),
        key: tls[:key_file] && OpenSSL::PKey.read(File.read(tls[:key_file])),
        verify_mode: tls[:verify] == false ? OpenSSL::SSL::VERIFY_NONE : OpenSSL::SSL::VERIFY_PEER,
      }.compact
    rescue SystemCallError, OpenSSL::OpenSSLError => e
      raise InvalidInput, "Consul's TLS files cannot be used (#{tls.compact}): #{e.message}"
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

    def request(request, timeout)
      check_tenancy(timeout) if @to_check
      transmit(request, timeout)
    end

    # A Consul without namespaces or partitions may ignore the headers, and reports would go where everybody's are.
    def check_tenancy(timeout)
      if transmit(Net::HTTP::Get.new("/v1/#{@to_check}s"), timeout).code == '404'
        raise RequestRejected, "Consul at #{url} has no #{@to_check}s, a feature of Consul Enterprise; remove the setting " \
                               "#{@to_check}"
      end
      @to_check = nil
    rescue AccessDenied
      @to_check = nil # the token may not read the list, so there is one
    end

    def transmit(request, timeout)
      @headers.each { |name, value| request[name] = value }
      request['Accept-Encoding'] = 'identity' # so that Content-Length is the length of the body
      what = "#{request.method} #{request.path.sub(/\?.*/, '')}"
      too_slow = "no whole answer within #{timeout.round(1)} s" # a read timeout would start afresh with each byte
      response = Timeout.timeout(timeout, nil, too_slow) { answer(request, timeout, what) }
      raise EOFError, 'the answer is cut short' if cut_short?(response)

      check(response, what)
    rescue OpenSSL::SSL::SSLError => e
      raise unreachable(e) if e.message.match?(HANDSHAKE_CUT_SHORT)

      raise TLSFailed, "Consul at #{url}: #{e.message}; check the settings ca_file, cert_file and key_file"
    rescue *NETWORK_ERRORS => e
      raise unreachable(e)
    end

    def answer(request, timeout, what)
      body = +''
      connection(timeout).start do |http|
        response = http.request(request) do |begun|
          begun.read_body do |part|
            raise too_long(what) if body.bytesize + part.bytesize > LONGEST_ANSWER

            body << part
          end
        end
        response.tap { response.body = body }
      end
    end

    def too_long(what)
      RequestRejected.new("#{url} answered #{what} with more than #{LONGEST_ANSWER} bytes, not as Consul does")
    end

    def unreachable(error)
      ConsulUnavailable.new("Consul at #{url} is unreachable: #{error.class}: #{error.message}")
    end

    def connection(timeout)
      http = Net::HTTP.new(@host, @port, nil) # the agent is local: no proxy from the environment
      http.max_retries = 0 # else Net::HTTP silently repeats a PUT
      http.open_timeout = [OPEN_TIMEOUT, timeout].min
      http.read_timeout = http.write_timeout = nil # the request as a whole has a limit
      return http unless @tls

      http.use_ssl = true
      @tls.each { |name, value| http.public_send("#{name}=", value) }
      http
    end

    # Net::HTTP accepts a body that is shorter than announced.
    def cut_short?(response)
      response.content_length.to_i > response.body.to_s.bytesize
    end

    def check(response, what)
      case response.code.to_i
      when 403
        raise AccessDenied, "Consul at #{url} refused #{what} to this node's token: #{words(response)}"
      when 429, 500..599
        raise ConsulUnavailable, "Consul at #{url} answered #{response.code}: #{words(response)}"
      else
        response
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

    def words(response)
      body = response.body.to_s.dup.force_encoding(Encoding::UTF_8).scrub.split.join(' ')[0, 300]
      body.empty? ? 'no reason given' : body
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
