# frozen_string_literal: true

require_relative 'errors'

module DesiredState
  # The form of names: of environments, tiers, nodes, states and tasks.
  module Name
    FORM = /[A-Za-z0-9][A-Za-z0-9._-]{0,127}/.freeze
    WHOLE = /\A#{FORM}\z/.freeze
    PREFIX = %r{\A#{FORM}(/#{FORM})*\z}.freeze

    module_function

    # Whether +text+ is a valid name: up to 128 safe characters.
    def name?(text)
      text.is_a?(String) && text.valid_encoding? && text.match?(WHOLE)
    end

    # Returns +text+ if it is a name, else raises InvalidInput, which names kind and text.
    def check(kind, text)
      return text if name?(text)

      raise InvalidInput, "#{kind} #{text.inspect} is not a name: 1 to 128 letters, digits, '.', '_' or '-', " \
                          'the first a letter or digit'
    end
  end
end
