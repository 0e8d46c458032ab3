# frozen_string_literal: true

module DesiredState
  # How systemd's unit files write commands, which is not how a shell does.
  module Systemd
    PLAIN = %r{\A[\w@/.:+=,-]+\z}.freeze

    module_function

    # A line for ExecStart that runs a program with these arguments, as they are.
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
