# frozen_string_literal: true

require 'json'
require_relative 'consul_kv'
require_relative 'line'
require_relative 'name'
require_relative 'report'
require_relative 'sightings'
require_relative 'ticket'

module DesiredState
  # This node's ticket for the slots of one tier in one run: it stands in line, holds a slot, and is given back.
  #
  # A ticket is a key that its run renews, not a lock of a session: the agent may be down in a reboot. Those that wait for it
  # delete a ticket that is not renewed.
  class Slot
    TTL = 120 # seconds
    TTL_OF_WAITING = 600
    TTL_OF_REBOOT = 1800
    LONGEST_WAIT = 55.0
    PAUSE = 1.0 # seconds between attempts while Consul is unavailable

    attr_reader :group

    # +patience+: the seconds for which Consul may be unavailable while the node waits; +ttl+: of a ticket that holds.
    def initialize(kv:, keys:, tier:, node:, node_id:, run_id:, patience:, logger: nil, ttl: TTL)
      @kv = kv
      @prefix = keys.slots(tier)
      @key = keys.ticket(tier, node)
      @node = node
      @node_id = node_id
      @run_id = run_id
      @patience = patience
      @logger = logger
      @ttl = ttl
      @sightings = Sightings.new
    end

    # Puts the node in line for an assignment, unless it stands there. Raises DuplicateNode or a ConsulError.
    def queue(assignment, group)
      @about = { 'generation' => assignment.generation, 'id' => assignment.id }
      return if @group == group

      stop_renewing
      # Consul's listings leave out what the token may not read: the node would take itself for the only one.
      persist { @kv.get(@prefix) }
      @group = group
      place(persist { own_ticket })
    end

    # The line as Consul has it now, with this node in it. Deletes tickets that have expired.
    def line
      loop do
        listing = persist { @kv.list(@prefix) }
        # A folder's key, or whatever else a person has made there, is no node's.
        tickets = listing.entries.select { |entry| Name.name?(entry.key.delete_prefix(@prefix)) }.map { |entry| Ticket.of(entry) }
        @own = tickets.find { |ticket| ticket.node == @node }
        next place(@own) unless mine?(@own)

        line = Line.new(@own, tickets)
        @index = listing.index
        @sightings.note(line.blocking)
        return line if remove_expired(line).zero?
      end
    end

    # Takes a slot; false if the ticket has changed since the line was read.
    def hold
      is_held = persist { write(@own, 'held_since' => @own.fields['held_since'] || moment, 'ttl' => @ttl) }
      @renewer = Thread.new { renew_until_lost } if is_held
      is_held
    end

    def held?
      !@renewer.nil?
    end

    # Waits until the line may have moved on.
    def wait(line, limit)
      loop do
        seconds = (@sightings.soonest(line.blocking) || LONGEST_WAIT).clamp(0.1, LONGEST_WAIT)
        is_changed = persist { changed?(line.watched, seconds) }
        return if !renewed? || is_changed || line.near?(limit) || @sightings.expired(line.blocking).any?
      end
    end

    # What becomes of the slot when the run has ended with this status. A ticket that failed is no longer renewed and does
    # not expire: when as many nodes have failed as there are slots, no other node begins.
    def settle(status)
      is_held = held?
      stop_renewing
      case status
      when 'succeeded' then give_back
      when 'failed' then persist { rewrite('failed' => true) } if is_held
      when 'rebooting' then persist { rewrite('ttl' => TTL_OF_REBOOT) } if is_held
      end
    end

    # Deletes the ticket, also that of an earlier run.
    def give_back
      stop_renewing
      ticket = persist { own_ticket }
      persist { @kv.delete(@key, cas: ticket.modify_index) } unless ticket.nil? || ticket.of_other_machine?(@node_id)
      @group = nil
    end

    private

    def own_ticket
      entry = @kv.get(@key)
      entry && Ticket.of(entry)
    end

    # Whether it is this run's ticket, in the group in which the node stands now.
    def mine?(ticket)
      !ticket.nil? && ticket.run_id == @run_id && ticket.group == @group
    end

    # Writes this run's ticket in the place of what the key has. An earlier run's keeps its place and its slot, but not in
    # another group, where nobody has counted it.
    def place(found)
      if found&.of_other_machine?(@node_id)
        raise DuplicateNode, "a machine of the same name holds ticket #{@key} (node id #{found.node_id}, this machine's is " \
                             "#{@node_id}): rename one of the two; if that machine is gone, free the slot of #{@node}"
      end
      is_kept = found && found.group == @group
      return persist { @kv.delete(@key, cas: found.modify_index) } unless found.nil? || found.malformed? || is_kept

      kept = is_kept ? found.fields.slice('since', 'held_since') : {}
      fresh = {
        'schema' => Document::SCHEMA, 'node' => @node, 'node_id' => @node_id, 'run_id' => @run_id, 'group' => @group,
        'since' => moment, 'held_since' => nil, 'ttl' => TTL_OF_WAITING, 'failed' => false, 'renewals' => 0
      }
      persist { @kv.put(@key, JSON.generate(fresh.merge(@about, kept)), cas: found ? found.modify_index : 0) }
      @written_at = now
    end

    # Deletes the tickets ahead that nobody renews; returns how many.
    def remove_expired(line)
      @sightings.expired(line.blocking).count do |ticket|
        next unless persist { @kv.delete("#{@prefix}#{ticket.node}", cas: ticket.modify_index) }

        @logger&.warn("desired_state: freed the slot or place of #{ticket.node}, not renewed for #{ticket.ttl} s")
        true
      end
    end

    # Whether the ticket to watch has changed; nil watches all.
    def changed?(watched, seconds)
      key = watched ? "#{@prefix}#{watched.node}" : @prefix
      @kv.changed?(key, index: @index, seconds: seconds, below: watched.nil?)
    end

    # Renews the ticket of a node that waits, when it is time; false if it was lost.
    def renewed?
      return true if now - @written_at < TTL_OF_WAITING / 3.0

      @written_at = now
      persist { rewrite({}) }
    end

    def renew_until_lost
      loop do
        sleep(@ttl / 3.0)
        next if rewrite({})

        @logger&.warn("desired_state: #{@key} was freed while this node converges; it goes on")
        break
      rescue ConsulError
        nil # the next renewal may succeed
      end
    end

    def stop_renewing
      @renewer&.kill&.join
      @renewer = nil
    end

    # Writes this run's ticket with other fields; false if it is no longer there.
    def rewrite(changed)
      ticket = own_ticket
      !ticket.nil? && ticket.run_id == @run_id && write(ticket, changed)
    end

    # Consul skips a write that changes nothing, and would keep the ModifyIndex: so renewals are counted.
    def write(ticket, changed)
      counted = { 'renewals' => ticket.fields['renewals'].to_i + 1 }
      @kv.put(@key, JSON.generate(ticket.fields.merge(@about, counted, changed)), cas: ticket.modify_index)
    end

    def persist
      deadline = now + @patience
      begin
        yield
      rescue ConsulUnavailable
        raise if now + PAUSE > deadline

        sleep(PAUSE)
        retry
      end
    end

    def moment
      Report.moment(Time.now)
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
