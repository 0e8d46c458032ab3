# frozen_string_literal: true

require_relative '../libraries/library_files'
DesiredState.library_files.each { |path| require path }

require 'support/contract'
require 'support/peer'
require 'support/world'

abort 'The specs talk to a real Consul: set CONSUL_HTTP_ADDR, such as http://127.0.0.1:8500' if
  ENV['CONSUL_HTTP_ADDR'].to_s.empty?

RSpec.configure do |config|
  config.disable_monkey_patching!
  config.raise_errors_for_deprecations!
  config.order = :random
  Kernel.srand(config.seed)
  config.expect_with(:rspec) { |expectations| expectations.syntax = :expect }
  config.mock_with(:rspec) { |mocks| mocks.verify_partial_doubles = true }
  config.include(World)
  config.after { close_world }
end
