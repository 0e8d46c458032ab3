# frozen_string_literal: true

require 'fileutils'
require 'json'
require_relative 'bucket'
require_relative 'whole_file'

module DesiredState
  # When this node begins, by its own clock: its moment within an assignment's +spread_over+, and the moments at which it
  # runs though it has converged. Both differ by node, for the Chef Server's sake, and do not move on a retry.
  class Due
    # +dir+: remembers when the node first saw an assignment.
    def initialize(dir:, node:, clock: -> { Time.now.to_f })
      @dir = dir
      @node = node
      @clock = clock
    end

    # The seconds until the node begins with a tier's assignment; 0 if it may now.
    def seconds_left(tier, assignment)
      delay = assignment.delay_of(@node)
      return 0.0 if delay.zero?

      now = @clock.call
      since = seen(tier, assignment, now)
      (since + delay - now).clamp(0.0, delay) # less than the delay also if the clock was set back
    end

    # Whether a node that succeeded +since+ (a Time) has a moment behind it at which it runs every so many seconds.
    def enforced?(every, since)
      offset = Bucket.of('enforce', @node).fdiv(Bucket::COUNT) * every
      ((@clock.call - offset) / every).floor > ((since.to_f - offset) / every).floor
    end

    private

    # When the node first saw the assignment, which is now if the file says otherwise than it could have.
    def seen(tier, assignment, now)
      path = File.join(@dir, "#{tier}.json")
      name = (assignment.id || assignment.generation).to_s
      known = read(path)
      return known['at'] if known['assignment'] == name && known['at'].is_a?(Numeric) && known['at'] <= now

      FileUtils.mkdir_p(@dir, mode: 0o700)
      WholeFile.write(path, JSON.generate('assignment' => name, 'at' => now))
      now
    rescue SystemCallError
      now # a full disk: a retry waits anew
    end

    def read(path)
      known = JSON.parse(File.read(path))
      known.is_a?(Hash) ? known : {}
    rescue SystemCallError, JSON::ParserError
      {}
    end
  end
end
