# frozen_string_literal: true

module DesiredState
  # The tickets that compete with one node's for the slots of a tier, in the order in which Consul created them. The
  # orchestrator's Python decides the same from the same tickets.
  class Line
    NAMED = 5 # holders that a report names

    attr_reader :ahead

    # +own+: the node's ticket, one of +tickets+.
    def initialize(own, tickets)
      @own = own
      rivals = tickets.reject { |ticket| ticket.node == own.node }.select { |ticket| ticket.rival_of?(own) }
      @ahead, @behind = rivals.sort_by(&:place).partition { |ticket| (ticket.place <=> own.place).negative? }
    end

    # Whether the node may converge; +limit+ nil: all may. Since nobody overtakes, those that enter at the same time are the
    # first, as many as there are slots. Holders behind have entered before the limit was lowered.
    def enter?(limit)
      @own.is_held || limit.nil? || ahead.size + @behind.count(&:is_held) < limit
    end

    # The nearest ticket ahead that does not hold; nil if the node is the next to enter, and any change may let it in.
    def watched
      ahead.reject(&:is_held).last
    end

    # Whether more than the +watched+ ticket may let it in: another one ahead may leave while that one's node is dead.
    def near?(limit)
      watched.nil? || ahead.size < 2 * limit.to_i
    end

    # The tickets that keep it out.
    def blocking
      ahead + @behind.select(&:is_held)
    end

    # A report's +waits_for+.
    def waits_for(limit)
      { 'slot' => blocking.select(&:is_held).first(NAMED).map(&:node), 'of' => limit, 'ahead' => ahead.size }
    end
  end
end
