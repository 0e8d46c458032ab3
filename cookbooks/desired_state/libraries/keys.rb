# frozen_string_literal: true

require_relative 'name'

module DesiredState
  # The keys of the shared data view below a prefix, for one environment. No other code builds keys.
  class Keys
    def initialize(prefix:, environment:)
      unless prefix.is_a?(String) && prefix.match?(Name::PREFIX)
        raise InvalidInput, "prefix #{prefix.inspect} must be one or more names separated by '/'"
      end

      @root = "#{prefix}/#{Name.check('environment', environment)}"
    end

    # The tier's desired state.
    def desired(tier)
      "#{tier(tier)}/desired"
    end

    # One node's report for the tier.
    def report(tier, node)
      "#{tier(tier)}/nodes/#{Name.check('node', node)}"
    end

    # The lock that a node of the tier holds during a once-per-tier task.
    def lock(tier, task)
      "#{tier(tier)}/locks/#{Name.check('task', task)}"
    end

    # The mark that a once-per-tier task was done.
    def done(tier, task, version)
      "#{tier(tier)}/done/#{Name.check('task', task)}/#{Name.check('version', version)}"
    end

    # The prefix of the tier's tickets.
    def slots(tier)
      "#{tier(tier)}/_slots/"
    end

    # One node's ticket: it holds a slot of the tier, or waits for one.
    def ticket(tier, node)
      "#{slots(tier)}#{Name.check('node', node)}"
    end

    # The report of a run that failed before it read any tier.
    def early_failure(node)
      "#{@root}/_nodes/#{Name.check('node', node)}"
    end

    private

    def tier(tier)
      "#{@root}/#{Name.check('tier', tier)}"
    end
  end
end
