# frozen_string_literal: true

# For the examples in spec/unit, which need Chef and ChefSpec: see TESTING.md. ChefSpec runs only the resources that an
# example steps into, so nothing on the machine is changed.

require 'chefspec'
require 'support/world'

abort 'The specs talk to a real Consul: set CONSUL_HTTP_ADDR, such as http://127.0.0.1:8500' if
  ENV['CONSUL_HTTP_ADDR'].to_s.empty?

COOKBOOKS = File.expand_path('../..', __dir__)

RSpec.configure do |config|
  config.disable_monkey_patching!
  config.order = :random
  Kernel.srand(config.seed)
  config.expect_with(:rspec) { |expectations| expectations.syntax = :expect }
  config.cookbook_path = COOKBOOKS
  config.log_level = :fatal
  config.include(World)
  config.after { close_world }
end
