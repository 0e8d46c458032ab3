# frozen_string_literal: true

require 'digest'

module DesiredState
  # The bucket of a node under a salt; the orchestrator's Python computes the same number.
  module Bucket
    COUNT = 2**32

    module_function

    # 0 to 2^32 - 1.
    def of(salt, node)
      Digest::SHA256.hexdigest("#{salt}:#{node}")[0, 8].to_i(16)
    end
  end
end
