# frozen_string_literal: true

# Everything of this cookbook; its names are those of the orchestrator's Python where both have the thing.
module DesiredState
  # Root of every error that this cookbook raises on purpose; each message names the thing and what to do about it.
  class Error < StandardError; end

  # A name, setting or parameter that is refused before anything is sent to Consul.
  class InvalidInput < Error; end

  # A key in the shared data view holds something other than the document that belongs there.
  class MalformedDocument < Error
    attr_reader :key, :problem

    def initialize(key, problem)
      super("#{key}: #{problem}")
      @key = key
      @problem = problem
    end
  end

  # A document says that it follows a schema which this version does not know.
  class UnknownSchema < MalformedDocument; end

  # No desired state was ever written for the tier, and the recipe gives no default.
  class NoDesiredState < Error; end

  # The tier is assigned a state that the recipe has no block for.
  class UnknownState < Error; end

  # Consul could not be asked, or said no.
  class ConsulError < Error; end

  # Consul is unreachable, answers too slowly or with a server error; another try may succeed.
  class ConsulUnavailable < ConsulError; end

  # The TLS handshake failed: certificate, CA or client certificate.
  class TLSFailed < ConsulError; end

  # The ACL token is unknown, or may not do this; never taken for a missing key.
  class AccessDenied < ConsulError; end

  # Consul rejected the request for another reason, or it is no Consul that answers.
  class RequestRejected < ConsulError; end

  # Another node held the lock of a once-per-tier task for longer than this one would wait.
  class LockTimeout < Error; end

  # The lock of a once-per-tier task was lost while the task ran.
  class LockLost < Error; end

  # What a node serves did not answer as it should within its time.
  class NotReady < Error; end
end
