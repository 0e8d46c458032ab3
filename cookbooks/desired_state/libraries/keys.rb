# frozen_string_literal: true

require_relative 'name'

module DesiredState
  # The keys of the shared data view below a prefix, for one environment; nothing else knows one.
  class Keys
    def initialize(prefix:, environment:)
      unless prefix.is_a?(String) && prefix.match?(Name::PREFIX)
        raise InvalidInput, "prefix #{prefix.inspect} is not one or more names with '/' between"
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

    # What a node of the tier holds while it does a once-per-tier task.
    def lock(tier, task)
      "#{tier(tier)}/locks/#{Name.check('task', task)}"
    end

    # What says that a once-per-tier task was done.
    def done(tier, task, version)
      "#{tier(tier)}/done/#{Name.check('task', task)}/#{Name.check('version', version)}"
    end

    # The report of a run that died before it read any tier.
    def early_failure(node)
      "#{@root}/_nodes/#{Name.check('node', node)}"
    end

    private

    def tier(tier)
      "#{@root}/#{Name.check('tier', tier)}"
    end
  end
end
