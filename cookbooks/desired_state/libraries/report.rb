# frozen_string_literal: true

require 'json'
require_relative 'document'

module DesiredState
  # What a node says of its last Chef run for a tier: the document under the tier's +nodes/<node>+ key.
  # +generation+ is the one that the run compiled, not the newest; nil when it failed before it had read one.
  class Report
    STATUSES = %w(running succeeded failed rebooting).freeze
    MESSAGE_LIMIT = 2000

    attr_reader :fields

    # Reads the JSON form; raises MalformedDocument or UnknownSchema.
    def self.parse(key, text)
      document = Document.parse(key, text)
      status = document.text('status')
      unless STATUSES.include?(status)
        raise document.malformed("field status must be one of #{STATUSES.join(', ')}, not #{Document.shown(status)}")
      end

      check(document)
      new(document.fields)
    end

    def self.check(document)
      %w(node tier).each { |name| document.name(name) }
      document.integer('generation') if document.has?('generation')
      document.name('state') if document.has?('state')
      %w(run_id started_at).each { |name| document.text(name) }
      document.text('finished_at') if document.has?('finished_at')
      document.integer('updated_resources') if document.has?('updated_resources')
      %w(source client).each { |name| document.text(name) if document.has?(name) }
      check_error(document.child('error')) if document.has?('error')
    end
    private_class_method :check

    def self.check_error(error)
      error.text('resource') if error.has?('resource')
      %w(class message).each { |name| error.text(name) }
    end
    private_class_method :check_error

    # The +error+ of a report: class and message of an exception, and the resource that is to blame, if any.
    def self.error(exception, resource = nil)
      { 'class' => exception.class.name.to_s, 'message' => unicode(exception.message)[0, MESSAGE_LIMIT],
        'resource' => unicode(resource)[0, MESSAGE_LIMIT] }
    end

    def self.unicode(text)
      text.to_s.dup.force_encoding(Encoding::UTF_8).scrub
    end
    private_class_method :unicode

    # A moment as reports give it.
    def self.moment(time)
      time.getutc.strftime('%Y-%m-%dT%H:%M:%SZ')
    end

    def initialize(fields)
      @fields = { 'schema' => Document::SCHEMA }.merge(fields).freeze
    end

    def [](name)
      fields[name]
    end

    # This report with other fields.
    def with(changed)
      Report.new(fields.merge(changed))
    end

    # Whether this report says that its node is where the assignment wants it.
    def converged_on?(assignment)
      self['status'] == 'succeeded' && self['generation'] == assignment.generation && self['state'] == assignment.state
    end

    def to_json(*)
      JSON.generate(fields)
    end
  end
end
