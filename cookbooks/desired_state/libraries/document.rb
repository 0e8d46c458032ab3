# frozen_string_literal: true

require 'json'
require 'strscan'
require_relative 'errors'
require_relative 'name'

module DesiredState
  # A JSON object under a key, with typed access to its fields; unknown fields are ignored.
  # Each problem raises MalformedDocument with the orchestrator's wording.
  class Document
    SCHEMA = 1

    DEEPEST = 64 # levels of objects and lists, including the document itself
    INTEGERS = (-2**63..2**63 - 1).freeze

    # With JSON's escapes only; surrogates come in pairs.
    STRING = %r{
      "(?>[^"\\]+ | \\["\\/bfnrt] | \\u(?!(?i:d[89a-f]))\h{4} | \\u(?i:d[89ab])\h\h\\u(?i:d[c-f])\h\h)*"
    }x.freeze

    # Outside strings, JSON has neither slash nor backslash.
    NO_STRING = %r{[^"/\\]+}.freeze

    attr_reader :key, :fields, :path

    # Parses the value of +key+ into a document of the schema that this version knows.
    def self.parse(key, text)
      fields = decode(key, text)
      raise MalformedDocument.new(key, "must be a JSON object, not #{shown(fields)}") unless fields.is_a?(Hash)

      document = new(key, fields)
      schema = document.integer('schema', minimum: 1)
      return document if schema == SCHEMA

      raise UnknownSchema.new(
        key, "schema #{schema} is unknown, this version knows schema #{SCHEMA}: upgrade it first"
      )
    end

    def self.decode(key, text)
      text = text.to_s.dup.force_encoding(Encoding::UTF_8)
      raise MalformedDocument.new(key, 'not JSON (invalid UTF-8)') unless text.valid_encoding?

      # Ruby's parser accepts comments, unknown escapes and lone surrogates; the orchestrator's does not.
      raise MalformedDocument.new(key, 'not JSON (a comment or escape)') unless strings_of_json?(text)

      JSON.parse(text, max_nesting: DEEPEST).tap { |fields| check_integers(key, fields) }
    rescue JSON::ParserError => e
      raise MalformedDocument.new(key, "not JSON (#{e.message[0, 120].scrub})")
    end
    private_class_method :decode

    # Looks at each character once: the first invalid string ends the scan.
    def self.strings_of_json?(text)
      scanner = StringScanner.new(text)
      nil while scanner.skip(NO_STRING) || scanner.skip(STRING)
      scanner.eos?
    end
    private_class_method :strings_of_json?

    # Other languages round longer integers or reject them.
    def self.check_integers(key, value)
      case value
      when Hash then value.each_value { |inner| check_integers(key, inner) }
      when Array then value.each { |inner| check_integers(key, inner) }
      when Integer
        raise MalformedDocument.new(key, 'not JSON (an integer of more than 64 bits)') unless INTEGERS.cover?(value)
      end
    end
    private_class_method :check_integers

    # The start of a value's JSON form. Allows infinity, which 1e999 is parsed to.
    def self.shown(value)
      JSON.generate(value, ascii_only: true, allow_nan: true)[0, 80]
    end

    def initialize(key, fields, path = '')
      @key = key
      @fields = fields
      @path = path
    end

    # An integer within bounds; true and 1.0 are not integers.
    def integer(name, minimum: 0, maximum: nil)
      value = required(name)
      raise wrong(name, 'an integer', value) unless value.is_a?(Integer)
      return value if value >= minimum && (maximum.nil? || value <= maximum)

      raise wrong(name, maximum ? "from #{minimum} to #{maximum}" : "at least #{minimum}", value)
    end

    def text(name)
      value = required(name)
      raise wrong(name, 'a string', value) unless value.is_a?(String)

      value
    end

    # A string that has the form of a name.
    def name(name)
      value = text(name)
      raise wrong(name, "a name (letters, digits, '.', '_', '-')", value) unless Name.name?(value)

      value
    end

    # A field that is an object itself.
    def child(name)
      value = required(name)
      raise wrong(name, 'an object', value) unless value.is_a?(Hash)

      Document.new(key, value, "#{path}#{name}.")
    end

    def list(name)
      value = required(name)
      raise wrong(name, 'a list', value) unless value.is_a?(Array)

      value
    end

    # Whether the field is present and not null.
    def has?(name)
      !fields[name].nil?
    end

    # An error that names this document's key.
    def malformed(problem)
      MalformedDocument.new(key, problem)
    end

    private

    def required(name)
      fields.fetch(name) { raise malformed("field #{path}#{name} is missing") }
    end

    def wrong(name, expected, value)
      malformed("field #{path}#{name} must be #{expected}, not #{self.class.shown(value)}")
    end
  end
end
