# frozen_string_literal: true

require 'tmpdir'

# For examples that start processes.
module Waiting
  # Polls until the block returns something, for as long as a slow machine may take.
  def eventually(timeout: 30)
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + timeout
    until (found = yield)
      raise "nothing came of it within #{timeout} s" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

      sleep(0.01)
    end
    found
  end
end

RSpec.configure do |config|
  config.disable_monkey_patching!
  config.mock_with(:rspec) { |mocks| mocks.verify_partial_doubles = true }
  config.order = :random
  config.include Waiting

  # Each example has its own directory.
  config.around do |example|
    Dir.mktmpdir do |path|
      @directory = path
      example.run
    end
  end
end
