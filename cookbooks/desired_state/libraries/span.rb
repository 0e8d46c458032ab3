# frozen_string_literal: true

require_relative 'errors'

module DesiredState
  # Spans of time with one unit, a subset of what systemd reads: '90s', '30m' or '30min', '2h', '1d'.
  module Span
    SECONDS = { 's' => 1, 'm' => 60, 'min' => 60, 'h' => 3600, 'd' => 86_400 }.freeze
    FORM = /\A([1-9]\d{0,6}) ?(s|m|min|h|d)\z/.freeze

    module_function

    # The span in seconds; raises InvalidInput.
    def seconds(text)
      _, count, unit = *FORM.match(text.to_s)
      return count.to_i * SECONDS.fetch(unit) if count

      raise InvalidInput, "#{text.inspect} is not a span of time such as 90s, 30m, 2h or 1d"
    end
  end
end
