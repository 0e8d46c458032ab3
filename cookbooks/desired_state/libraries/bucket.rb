# frozen_string_literal: true

require 'digest'

module DesiredState
  # A node's place under a salt; the same number as in the orchestrator's Python.
  module Bucket
    COUNT = 2**32

    module_function

    # 0 to 2^32 - 1.
    def of(salt, node)
      Digest::SHA256.hexdigest("#{salt}:#{node}")[0, 8].to_i(16)
    end
  end
end
