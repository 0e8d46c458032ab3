# frozen_string_literal: true

require 'net/http'
require 'openssl'
require 'timeout'
require 'uri'
require_relative 'errors'

module DesiredState
  # Requests to one Consul agent over HTTP or HTTPS, each sent once, with the standard library only.
  class ConsulHTTP
    OPEN_TIMEOUT = 2.0
    LONGEST_ANSWER = 16 * 1024 * 1024 # bytes; Consul's default limit for a value is 512 KiB, a tier may have thousands of tickets
    NETWORK_ERRORS = [
      SystemCallError, SocketError, IOError, Timeout::Error, Net::ProtocolError, Net::HTTPBadResponse,
      Net::HTTPHeaderSyntaxError
    ].freeze

    # As OpenSSL 1.1 and 3 word it; worth a retry, unlike a rejected certificate.
    HANDSHAKE_CUT_SHORT = /unexpected eof|SYSCALL/.freeze

    attr_reader :url

    # See ConsulKV.
    def initialize(url:, token: nil, tls: {}, namespace: nil, partition: nil)
      uri = parse(url)
      @url = "#{uri.scheme}://#{uri.host}:#{uri.port}"
      @host = uri.hostname
      @port = uri.port
      @headers = { 'X-Consul-Token' => token, 'X-Consul-Namespace' => namespace, 'X-Consul-Partition' => partition }.compact
      @to_check = partition ? 'partition' : namespace && 'namespace'
      @tls = uri.scheme == 'https' ? read_tls(tls) : nil
    end

    # The answer to a request, whole and within +timeout+ seconds. Raises a ConsulError.
    def request(request, timeout)
      check_tenancy(timeout) if @to_check
      transmit(request, timeout)
    end

    # The text of an answer, for a message.
    def words(response)
      body = response.body.to_s.dup.force_encoding(Encoding::UTF_8).scrub.split.join(' ')[0, 300]
      body.empty? ? 'no reason given' : body
    end

    private

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
  end
end
