# frozen_string_literal: true

require_relative 'desired'

module DesiredState
  # What a node of one tier is asked to be, as it was read once at compile time. Immutable.
  class Snapshot
    attr_reader :tier, :assignment, :source

    # +source+: where the assignment comes from: consul, cache or default.
    def initialize(tier:, assignment:, source:)
      @tier = tier
      @assignment = assignment
      @source = source
      freeze
    end

    # The state's name.
    def state
      assignment.state
    end

    # The generation that brought it; 0 for a recipe's default.
    def generation
      assignment.generation
    end

    # What tells this assignment from others of the same generation; nil where the orchestrator gave none.
    def id
      assignment.id
    end

    # What recipes need: a flat, frozen Hash of names to JSON scalars.
    def values
      assignment.values
    end

    def to_s
      "#{tier} is #{state} (generation #{generation}, from #{source})"
    end

    # Yields a table for blocks by state, then calls the one of this state. Blocks keep the recipe as self, so all of
    # Chef's DSL works in them. Raises UnknownState.
    def dispatch
      blocks = States.new
      yield blocks
      block = blocks[state] || raise(
        UnknownState, "#{tier} is assigned state #{state} (generation #{generation}), which this recipe does not " \
                      "know; it knows #{blocks.names.join(', ')}"
      )
      block.call(self)
    end

    # The blocks of a recipe by state.
    class States
      def initialize
        @blocks = {}
      end

      # Declares what the tier is in these states; the block may take the snapshot.
      def state(*names, &block)
        raise ArgumentError, "state #{names.join(', ')} needs a block" unless block

        names.each { |name| @blocks[Name.check('state', name.to_s)] = block }
      end

      def [](name)
        @blocks[name]
      end

      def names
        @blocks.keys
      end
    end
  end
end
