# frozen_string_literal: true

require 'json'
require_relative 'consul_kv'
require_relative 'report'

module DesiredState
  # Does some work once per tier and version, under a Consul session lock.
  #
  # At least once, to be precise: a node that dies in the middle, or is cut off from Consul for long, may have done the
  # work, or still be doing it, when another node repeats it. The work must be safe to repeat.
  class Once
    POLL = 1.0 # seconds between attempts to take a lock that another node holds

    # +ttl+: seconds until the lock of a dead node is free again (up to twice that, plus 5); at least 10.
    # +wait+: seconds to wait for another node to finish the work.
    def initialize(kv:, lock_key:, done_key:, node:, ttl:, wait:, poll: POLL)
      @kv = kv
      @lock_key = lock_key
      @done_key = done_key
      @node = node
      @ttl = ttl
      @wait = wait
      @poll = poll
    end

    # Yields if this node has to do the work. Returns :ran, or :already if it was done before or meanwhile.
    # Raises LockTimeout, LockLost or a ConsulError.
    def run(&work)
      return :already if done?

      session = persist { @kv.create_session(name: "desired_state #{@lock_key}", ttl: @ttl) }
      begin
        acquire(session) ? work_under(session, &work) : :already
      ensure
        release(session)
      end
    end

    private

    def done?
      !@kv.get(@done_key, patience: ConsulKV::READ_TIMEOUT).nil?
    end

    # False if another node did the work while this one waited.
    def acquire(session)
      deadline = now + @wait
      until persist { @kv.put(@lock_key, holder, acquire: session) }
        return false if done?
        raise LockTimeout, "#{@lock_key} was not free within #{@wait} s: #{held_by}" if now > deadline

        sleep(@poll)
        renewed = persist { @kv.renew_session(session) }
        raise LockLost, "#{@lock_key}: the session expired while this node waited for the lock" unless renewed
      end
      !done?
    end

    def work_under(session)
      lost = false
      renewer = Thread.new { lost = true if renew_until_lost(session) }
      yield
      raise LockLost, "#{@lock_key} was lost in the middle of the work; another node may do it again" if lost
      return :ran if mark_done

      raise LockLost, "#{@done_key} was written by another node, which did the work at the same time"
    ensure
      renewer&.kill
    end

    # If the marker is our own, the write succeeded and only its answer was lost.
    def mark_done
      marker = holder
      persist { @kv.put(@done_key, marker, cas: 0) || @kv.get(@done_key)&.value == marker }
    end

    # Retries while Consul is unavailable, for as long as the lock lives: an election in the middle of a migration is no
    # reason to repeat it. All these requests are safe to repeat.
    def persist
      deadline = now + @ttl
      begin
        yield
      rescue ConsulUnavailable
        raise if now + @poll > deadline

        sleep(@poll)
        retry
      end
    end

    def renew_until_lost(session)
      loop do
        sleep(@ttl / 3.0)
        return true unless @kv.renew_session(session)
      rescue ConsulError
        nil # the next renewal may succeed
      end
    end

    def release(session)
      @kv.put(@lock_key, '', release: session)
      @kv.destroy_session(session)
    rescue ConsulError
      nil # the session expires by itself
    end

    def holder
      JSON.generate('schema' => 1, 'node' => @node, 'at' => Report.moment(Time.now))
    end

    def held_by
      holder = JSON.parse(@kv.get(@lock_key)&.value.to_s)
      holder.is_a?(Hash) ? "held by #{holder['node']} since #{holder['at']}" : 'holder unknown'
    rescue JSON::ParserError, ConsulError
      'holder unknown'
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
