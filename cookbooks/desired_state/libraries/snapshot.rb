# frozen_string_literal: true

require_relative 'desired'

module DesiredState
  # A node's assignment in one tier, as read once at compile time. Immutable.
  class Snapshot
    attr_reader :tier, :assignment, :source

    # +source+: consul, cache or default.
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

    # The assignment's generation; 0 for a recipe's default.
    def generation
      assignment.generation
    end

    # Tells this assignment from others of the same generation; nil if an older orchestrator wrote it.
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

    # Yields a table in which the recipe declares a block per state, then calls the block of this state. Blocks keep the
    # recipe as self, so Chef's whole DSL works in them. Raises UnknownState.
    def dispatch
      blocks = States.new
      yield blocks
      block = blocks[state] || raise(
        UnknownState, "#{tier} is assigned state #{state} (generation #{generation}), but the recipe has no block for " \
                      "it, only for: #{blocks.names.join(', ')}"
      )
      block.call(self)
    end

    # A recipe's blocks by state.
    class States
      def initialize
        @blocks = {}
      end

      # Declares the block for these states; it may take the snapshot.
      def state(*names, &block)
        raise ArgumentError, "state #{names.join(', ')} requires a block" unless block

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
