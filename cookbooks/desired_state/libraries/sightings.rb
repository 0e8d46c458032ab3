# frozen_string_literal: true

module DesiredState
  # For how long one run has seen tickets unchanged, by its own clock: no other machine's clock has to be right.
  class Sightings
    # +clock+: seconds that never go back.
    def initialize(clock: -> { Process.clock_gettime(Process::CLOCK_MONOTONIC) })
      @clock = clock
      @seen = {}
    end

    # Notes these tickets, and forgets all others.
    def note(tickets)
      now = @clock.call
      @seen = tickets.to_h do |ticket|
        since = @seen.dig(ticket.node, ticket.modify_index) || now
        [ticket.node, { ticket.modify_index => since }]
      end
    end

    # Those of the noted tickets that were not renewed in time: their nodes are dead, or cut off.
    def expired(tickets)
      tickets.select { |ticket| (left = seconds_left(ticket)) && !left.positive? }
    end

    # The seconds until the first of them expires; nil if none ever does.
    def soonest(tickets)
      tickets.filter_map { |ticket| seconds_left(ticket) }.min
    end

    private

    # Nil if it does not expire: a failed one stands for a release that must stop here.
    def seconds_left(ticket)
      return if ticket.malformed? || ticket.is_failed

      @seen.fetch(ticket.node).fetch(ticket.modify_index) + ticket.ttl - @clock.call
    end
  end
end
