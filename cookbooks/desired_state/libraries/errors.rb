# frozen_string_literal: true

# This cookbook's libraries. What also exists in the orchestrator's Python has the same name there.
module DesiredState
  # Root of every error that this cookbook raises on purpose; each message says what is wrong and what to do.
  class Error < StandardError; end

  # A name, setting or parameter is invalid; raised before anything is sent to Consul.
  class InvalidInput < Error; end

  # A key in the shared data view does not hold the document that belongs there.
  class MalformedDocument < Error
    attr_reader :key, :problem

    def initialize(key, problem)
      super("#{key}: #{problem}")
      @key = key
      @problem = problem
    end
  end

  # A document has a schema that this version does not know.
  class UnknownSchema < MalformedDocument; end

  # The tier was never declared, and the recipe gives no default.
  class NoDesiredState < Error; end

  # The tier is assigned a state that the recipe has no block for.
  class UnknownState < Error; end

  # The node's platform lacks what a resource needs; raised while recipes compile.
  class UnsupportedPlatform < Error; end

  # Consul is unavailable or refused the request.
  class ConsulError < Error; end

  # Consul is unreachable, too slow or answers with a server error; a retry may succeed.
  class ConsulUnavailable < ConsulError; end

  # The TLS handshake failed: check certificate, CA and client certificate.
  class TLSFailed < ConsulError; end

  # The ACL token is unknown or lacks a permission; never mistaken for a missing key.
  class AccessDenied < ConsulError; end

  # Consul rejected the request for another reason, or the server is not a Consul.
  class RequestRejected < ConsulError; end

  # Another node held the lock of a once-per-tier task for longer than this node waits.
  class LockTimeout < Error; end

  # The lock of a once-per-tier task was lost while the task ran.
  class LockLost < Error; end

  # Another machine of this node's name holds a slot or waits for one.
  class DuplicateNode < Error; end

  # The service on the node did not answer as expected in time.
  class NotReady < Error; end
end
