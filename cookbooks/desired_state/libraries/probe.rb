# frozen_string_literal: true

require 'net/http'
require 'openssl'
require 'socket'
require 'uri'
require_relative 'errors'

module DesiredState
  # Whether something answers at http://…, https://… or tcp://host:port.
  class Probe
    FAILURES = [SystemCallError, SocketError, IOError, Timeout::Error, OpenSSL::SSL::SSLError, Net::HTTPBadResponse].freeze
    OPEN_TIMEOUT = 2
    READ_TIMEOUT = 5

    # +expect+: the HTTP statuses to accept. Raises InvalidInput.
    def initialize(url, expect: 200..399)
      @uri = URI(url)
      @expect = expect
      return if %w(http https tcp).include?(@uri.scheme) && @uri.hostname && @uri.port

      raise InvalidInput, "#{url} is invalid; expected http://…, https://… or tcp://HOST:PORT"
    rescue URI::InvalidURIError => e
      raise InvalidInput, "#{url} is not a URL: #{e.message}"
    end

    # Tries every +interval+ seconds until it answers as expected; raises NotReady after +timeout+ seconds.
    def wait(timeout:, interval:)
      deadline = now + timeout
      loop do
        problem = check
        return if problem.nil?
        raise NotReady, "#{@uri} was not ready within #{timeout} s; last problem: #{problem}" if now + interval > deadline

        sleep(interval)
      end
    end

    private

    # What is wrong, nil if nothing is.
    def check
      return Socket.tcp(@uri.hostname, @uri.port, connect_timeout: OPEN_TIMEOUT) { nil } if @uri.scheme == 'tcp'

      http = Net::HTTP.new(@uri.hostname, @uri.port, nil)
      http.max_retries = 0 # else one attempt may take twice its time
      http.use_ssl = @uri.scheme == 'https'
      http.open_timeout = OPEN_TIMEOUT
      http.read_timeout = READ_TIMEOUT
      status = Timeout.timeout(OPEN_TIMEOUT + READ_TIMEOUT) { http.start { |connection| connection.get(@uri.request_uri).code.to_i } }
      "HTTP #{status}" unless @expect.include?(status)
    rescue *FAILURES => e
      "#{e.class}: #{e.message}"
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
