# frozen_string_literal: true

# A tier of the shop: ruby serve.rb CONFIG. Answers every request with its release, with status 503 while it waits.

require 'json'
require 'socket'

config = JSON.parse(File.read(ARGV.fetch(0)))
is_serving = config['mode'] == 'serving'

answer = lambda do
  lines = ["#{config['tier']} #{is_serving ? 'serves' : 'waits at'} release #{config['release']}"]
  lines << "schema of release #{JSON.parse(File.read(config['schema']))['release']}" if config['schema']
  body = "#{lines.join("\n")}\n"
  "HTTP/1.1 #{is_serving ? '200 OK' : '503 Service Unavailable'}\r\nContent-Type: text/plain\r\n" \
    "Content-Length: #{body.bytesize}\r\nConnection: close\r\n\r\n#{body}"
end

trap('TERM') { exit }
server = TCPServer.new('127.0.0.1', config['port'])
loop do
  Thread.new(server.accept) do |client|
    line = client.gets until line == "\r\n" || client.eof?
    client.write(answer.call)
  rescue SystemCallError, IOError => e
    warn(e.message)
  ensure
    client.close
  end
end
