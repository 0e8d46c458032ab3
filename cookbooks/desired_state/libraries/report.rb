# frozen_string_literal: true

require 'json'
require_relative 'document'

module DesiredState
  # A node's report of its last Chef run for a tier: the document under the tier's +nodes/<node>+ key.
  # +generation+ is the one that the run compiled, not the newest; nil if the run failed before it read one. +id+ is the
  # assignment's; +node_id+ is Consul's id of the machine, if the node may read it; +previous_status+ is the outcome of the
  # run before on the same assignment; +waits_for+ the slot that a +waiting+ run waits for; +mended+ the runs of one day that
  # found the node converged and changed resources.
  class Report
    STATUSES = %w(waiting running succeeded failed rebooting interrupted).freeze
    UNFINISHED = %w(waiting running rebooting interrupted).freeze # without an outcome
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
      check_mended(document.child('mended')) if document.has?('mended')
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

    def self.check_mended(mended)
      mended.text('on')
      %w(runs resources).each { |name| mended.integer(name) }
    end
    private_class_method :check_mended

    # The +error+ of a report: class and message of an exception, and the resource to blame, if any.
    def self.error(exception, resource = nil)
      { 'class' => exception.class.name.to_s, 'message' => words(exception)[0, MESSAGE_LIMIT],
        'resource' => unicode(resource)[0, MESSAGE_LIMIT] }
    end

    # Includes the Chef server's answer, which names a missing cookbook.
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

    # A point in time, as written in reports.
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

    # Whether this report says that the node has converged on the assignment.
    def converged_on?(assignment)
      self['status'] == 'succeeded' && about?(assignment) && self['state'] == assignment.state
    end

    # Whether this report's run compiled that assignment. A generation can recur after a tier is deleted or an old snapshot
    # of Consul is restored; an id cannot.
    def about?(assignment)
      self['generation'] == assignment.generation &&
        (self['id'].nil? || assignment.id.nil? || self['id'] == assignment.id)
    end

    # Whether an earlier machine of the same name wrote this, as far as both ids are known.
    def of_other_machine?(node_id)
      !self['node_id'].nil? && !node_id.nil? && self['node_id'] != node_id
    end

    # The +previous_status+ for the next run on the assignment; nil if this report is about another assignment. A failure
    # does not vanish behind runs that never finished, and a run that only waited was none.
    def as_previous_of(assignment)
      return unless about?(assignment)
      return 'failed' if UNFINISHED.include?(self['status']) && self['previous_status'] == 'failed'

      self['status'] == 'waiting' ? self['previous_status'] : self['status']
    end

    # This report with +previous_status+ filled in, if Consul was unavailable when its run began.
    def following(before)
      return self if self['generation'].nil? || !self['previous_status'].nil?
      return self if before.nil? || before['run_id'] == self['run_id'] || before.of_other_machine?(self['node_id'])

      with('previous_status' => before.as_previous_of(Subject.new(self['generation'], self['id'])))
    end

    # The assignment that a report is about.
    Subject = Struct.new(:generation, :id)
    private_constant :Subject

    def to_json(*)
      JSON.generate(fields)
    end
  end
end
