# frozen_string_literal: true

require 'net/http'
require 'openssl'
require 'socket'
require 'uri'

# A server in Consul's place: answers as an example says, or forwards to the real Consul, and records requests.
class Peer
  Request = Struct.new(:verb, :target, :headers, :body, keyword_init: true) do
    def path
      target.sub(/\?.*/, '')
    end
  end

  # The headers that Consul sends.
  OF_CONSUL = { 'X-Consul-Index' => '1' }.freeze

  attr_reader :port, :requests
  attr_writer :answer

  # Calls the block with each request. It returns status, body and headers; or a text to send verbatim; or nil to close the
  # connection without an answer.
  def initialize(tls: nil, &answer)
    @answer = answer
    @tls = tls
    @requests = []
    @listener = TCPServer.new('127.0.0.1', 0)
    @port = @listener.addr[1]
    @workers = []
    @thread = Thread.new { serve }
  end

  def url
    "#{@tls ? 'https' : 'http'}://127.0.0.1:#{port}"
  end

  def close
    @thread.kill.join
    @listener.close
    @workers.each { |worker| worker.kill.join }
  end

  # The requests that would have changed something, as [path, body].
  def writes
    requests.select { |request| request.verb == 'PUT' }
  end

  # The real Consul's answer.
  def self.forward(request)
    uri = URI(ENV.fetch('CONSUL_HTTP_ADDR'))
    forwarded = Net::HTTPGenericRequest.new(request.verb, request.verb == 'PUT', true, request.target)
    forwarded.body = request.body if request.verb == 'PUT'
    response = Net::HTTP.start(uri.host, uri.port, nil) { |http| http.request(forwarded) }
    headers = response['X-Consul-Index'] ? { 'X-Consul-Index' => response['X-Consul-Index'] } : {}
    [response.code.to_i, response.body.to_s, headers]
  end

  private

  def serve
    loop do
      socket = @listener.accept
      @workers << Thread.new { talk(socket) }
    end
  end

  def talk(socket)
    stream = @tls ? OpenSSL::SSL::SSLSocket.new(socket, @tls).tap(&:accept) : socket
    request = read(stream)
    return if request.nil?

    @requests << request
    reply(stream, @answer.call(request))
  rescue SystemCallError, IOError, OpenSSL::SSL::SSLError
    nil # the client went away, or failed the handshake
  ensure
    socket.close
  end

  def read(stream)
    verb, target = stream.gets.to_s.split
    return if target.nil?

    headers = {}
    while (line = stream.gets.to_s.chomp) && !line.empty?
      name, value = line.split(': ', 2)
      headers[name.downcase] = value
    end
    body = headers['content-length'] ? stream.read(headers['content-length'].to_i) : ''
    Request.new(verb: verb, target: target, headers: headers, body: body)
  end

  def reply(stream, answer)
    case answer
    when nil then nil
    when String then stream.write(answer)
    else
      status, body, headers = answer
      lines = ["HTTP/1.1 #{status} As told", "Content-Length: #{body.bytesize}", 'Connection: close']
      lines += (headers || OF_CONSUL).map { |name, value| "#{name}: #{value}" }
      stream.write("#{lines.join("\r\n")}\r\n\r\n#{body}")
    end
  end
end
