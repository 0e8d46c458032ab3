# frozen_string_literal: true

require 'json'
require_relative 'document'

module DesiredState
  # What a node says of its last Chef run for a tier: the document under the tier's +nodes/<node>+ key.
  # +generation+ is the one that the run compiled, not the newest; nil when it failed before it had read one. +id+ is that
  # of the assignment, +node_id+ Consul's id of the machine where the node may read it, and +previous_status+ what the run
  # before came to on the same assignment.
  class Report
    STATUSES = %w(running succeeded failed rebooting interrupted).freeze
    UNFINISHED = %w(running rebooting interrupted).freeze # they do not say how the run went
    MESSAGE_LIMIT = 2000

    attr_reader :fields

    # Reads the JSON form; raises MalformedDocument or UnknownSchema.
    def self.parse(key, text)
      document = Document.parse(key, text)
      check(document)
      new(document.fields)
    end

    def self.check(document)
      check_status(document, 'status')
      check_status(document, 'previous_status') if document.has?('previous_status')
      %w(node tier).each { |name| document.name(name) }
      document.integer('generation') if document.has?('generation')
      document.name('state') if document.has?('state')
      %w(run_id started_at).each { |name| document.text(name) }
      document.text('finished_at') if document.has?('finished_at')
      document.integer('updated_resources') if document.has?('updated_resources')
      %w(source client id node_id).each { |name| document.text(name) if document.has?(name) }
      check_error(document.child('error')) if document.has?('error')
    end
    private_class_method :check

    def self.check_status(document, name)
      status = document.text(name)
      return if STATUSES.include?(status)

      raise document.malformed("field #{name} must be one of #{STATUSES.join(', ')}, not #{Document.shown(status)}")
    end
    private_class_method :check_status

    def self.check_error(error)
      error.text('resource') if error.has?('resource')
      %w(class message).each { |name| error.text(name) }
    end
    private_class_method :check_error

    # The +error+ of a report: class and message of an exception, and the resource that is to blame, if any.
    def self.error(exception, resource = nil)
      { 'class' => exception.class.name.to_s, 'message' => words(exception)[0, MESSAGE_LIMIT],
        'resource' => unicode(resource)[0, MESSAGE_LIMIT] }
    end

    # With what the Chef server said, which names the cookbook that is missing.
    def self.words(exception)
      message = unicode(exception.message)
      said = exception.respond_to?(:response) ? server_words(exception.response) : ''
      said.empty? || message.include?(said) ? message : "#{message}: #{said}"
    end
    private_class_method :words

    # A server's errors are a list of texts, the first of which may be JSON itself.
    def self.server_words(response)
      said = Array(JSON.parse(unicode(response.body))['error']).first
      inner = JSON.parse(said.to_s)
      inner.is_a?(Hash) && inner['message'] ? inner['message'].to_s : said.to_s
    rescue JSON::ParserError
      said.to_s
    rescue StandardError
      ''
    end
    private_class_method :server_words

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
      self['status'] == 'succeeded' && about?(assignment) && self['state'] == assignment.state
    end

    # Whether this report's run compiled that assignment. A generation can be given twice, after a tier was deleted or an
    # old snapshot of Consul restored; an id cannot.
    def about?(assignment)
      self['generation'] == assignment.generation &&
        (self['id'].nil? || assignment.id.nil? || self['id'] == assignment.id)
    end

    # Whether an earlier machine of the same name wrote this, as far as both ids are known.
    def of_other_machine?(node_id)
      !self['node_id'].nil? && !node_id.nil? && self['node_id'] != node_id
    end

    # What the report of another run on the assignment says of this one, nil when this one was about something else. A
    # failure does not vanish behind runs that never finished.
    def as_previous_of(assignment)
      return unless about?(assignment)
      return 'failed' if UNFINISHED.include?(self['status']) && self['previous_status'] == 'failed'

      self['status']
    end

    # This report, saying what the run before came to, where that was not known when its run began: Consul was away.
    def following(before)
      return self if self['generation'].nil? || !self['previous_status'].nil?
      return self if before.nil? || before['run_id'] == self['run_id'] || before.of_other_machine?(self['node_id'])

      with('previous_status' => before.as_previous_of(Subject.new(self['generation'], self['id'])))
    end

    # What a report is about.
    Subject = Struct.new(:generation, :id)
    private_constant :Subject

    def to_json(*)
      JSON.generate(fields)
    end
  end
end
