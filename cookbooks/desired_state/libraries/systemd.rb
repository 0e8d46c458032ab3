# frozen_string_literal: true

module DesiredState
  # Commands as systemd's unit files quote them, which differs from a shell.
  module Systemd
    PLAIN = %r{\A[\w@/.:+=,-]+\z}.freeze

    module_function

    # A line for ExecStart that passes these arguments literally.
    def command_line(arguments)
      arguments.map { |argument| quote(argument.to_s) }.join(' ')
    end

    def quote(text)
      return text if text.match?(PLAIN)

      escaped = text.gsub(/["\\]/) { |character| "\\#{character}" }.gsub('%', '%%').gsub('$', '$$')
      "\"#{escaped}\""
    end
  end
end
