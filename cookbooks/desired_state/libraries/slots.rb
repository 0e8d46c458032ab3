# frozen_string_literal: true

require_relative 'slot'

module DesiredState
  # The slots that one run takes: for each tier whose assignment has a limit that this node has not converged on.
  class Slots
    PAUSE_OF_REPORTS = 30.0 # seconds, so that 3,000 nodes that wait do not report each step of the line

    # +reader+: gives the tier anew; +before+: a RunBefore.
    def initialize(settings:, reader:, before:, interruption:, run_id:, logger: nil)
      @settings = settings
      @reader = reader
      @before = before
      @interruption = interruption
      @run_id = run_id
      @logger = logger
      @slots = {}
    end

    # Returns the snapshot to compile, once this node holds a slot or needs none. Yields what the node waits for, a report's
    # +waits_for+, when it begins to wait and when that changes. Raises DuplicateNode or a ConsulError.
    def enter(snapshot, &report)
      return snapshot if snapshot.assignment.max_parallel.nil? || converged?(snapshot)

      @interruption.while_idle { stand_in_line(slot(snapshot.tier), snapshot, &report) }
    rescue ConsulUnavailable => e
      raise ConsulUnavailable, "#{snapshot.tier} requires a slot, since not all its nodes may converge at one time: #{e.message}"
    end

    # Gives a tier's slot back, or leaves the ticket for others to see. Never raises.
    def settle(tier, status)
      slot(tier).settle(status)
    rescue AccessDenied => e
      @logger&.error("desired_state: could not settle the slot of #{tier}: #{e.message}") if @slots[tier].group
    rescue StandardError => e
      @logger&.error("desired_state: could not settle the slot of #{tier}: #{e.class}: #{e.message}")
    end

    private

    # The newest assignment is the one to compile: the one for which the node began to wait may be hours old.
    def stand_in_line(slot, snapshot, &report)
      until converged?(snapshot)
        group = group_for(snapshot.assignment)
        return snapshot if slot.held? && slot.group == group

        slot.queue(snapshot.assignment, group)
        step(slot, snapshot, &report)
        snapshot = @reader.read_again(snapshot.tier)
      end
      slot.give_back
      snapshot
    end

    def group_for(assignment)
      assignment.per ? @settings.meta(assignment.meta_key) : ''
    end

    def step(slot, snapshot)
      limit = snapshot.assignment.max_parallel
      line = slot.line
      return slot.hold if line.enter?(limit)

      waits_for = line.waits_for(limit)
      yield waits_for if news?(snapshot, waits_for)
      slot.wait(line, limit)
    end

    def news?(snapshot, waits_for)
      now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      told = [snapshot.tier, snapshot.generation, waits_for['slot']]
      return false if told == @told || (@told_at && now < @told_at + PAUSE_OF_REPORTS)

      @logger&.info("desired_state: #{snapshot.tier} waits for a slot, behind #{waits_for['slot'].join(', ')}")
      @told = told
      @told_at = now
      true
    end

    def converged?(snapshot)
      @before.converged_on?(snapshot.tier, snapshot.assignment)
    end

    def slot(tier)
      @slots[tier] ||= Slot.new(
        kv: @settings.kv, keys: @settings.keys, tier: tier, node: @settings.node_name, node_id: @before.node_id,
        run_id: @run_id, patience: @settings.patience, logger: @logger
      )
    end
  end
end
