# frozen_string_literal: true

require_relative 'bucket'
require_relative 'document'

module DesiredState
  # What one node should reach: a state with its values, at a generation. Its +id+, made with the generation, keeps reports
  # of other assignments apart; nil in documents of older writers. +max_parallel+: how many nodes may converge on it at one
  # time, nil for all; +per+: meta:KEY, the nodes' meta data that makes groups of them, each with slots of its own.
  # +spread_over+: the seconds over which nodes begin, nil for at once.
  Assignment = Struct.new(:generation, :state, :values, :id, :max_parallel, :per, :spread_over, keyword_init: true) do
    def self.read(document)
      values = document.has?('values') ? document.child('values').fields : {}
      values.each do |name, value|
        next if scalar?(value)

        raise document.malformed(
          "field #{document.path}values.#{name} must be a JSON scalar, not #{Document.shown(value)}"
        )
      end
      new(generation: document.integer('generation'), state: document.name('state'),
          values: values.each_value(&:freeze).freeze, id: document.has?('id') ? document.text('id') : nil,
          max_parallel: document.has?('max_parallel') ? document.integer('max_parallel', minimum: 1) : nil,
          per: document.has?('per') ? read_per(document) : nil,
          spread_over: document.has?('spread_over') ? document.integer('spread_over') : nil).freeze
    end

    def self.read_per(document)
      per = document.text('per')
      return per.freeze if per.match?(/\Ameta:./m)

      raise document.malformed("field #{document.path}per must be \"meta:KEY\", not #{Document.shown(per)}")
    end
    private_class_method :read_per

    def self.scalar?(value)
      case value
      when nil, true, false, String, Integer then true
      when Float then value.finite?
      else false
      end
    end
    private_class_method :scalar?

    # The key that +per+ names, nil without it.
    def meta_key
      per&.delete_prefix('meta:')
    end

    # How many seconds after a node saw it this node begins: always the same, so that a retry does not move it.
    def delay_of(node)
      Bucket.of(id || generation, node).fdiv(Bucket::COUNT) * spread_over.to_i
    end
  end

  # A second assignment for some of a tier's nodes: those listed, and those whose bucket is below the threshold.
  Canary = Struct.new(:assignment, :salt, :threshold, :nodes, keyword_init: true) do
    def self.read(document)
      nodes = document.list('nodes')
      raise document.malformed("field #{document.path}nodes must list node names") unless nodes.all? { |n| Name.name?(n) }

      new(assignment: Assignment.read(document), salt: document.name('salt'),
          threshold: document.integer('threshold', maximum: Bucket::COUNT), nodes: nodes.freeze).freeze
    end

    def node?(node)
      nodes.include?(node) || Bucket.of(salt, node) < threshold
    end
  end

  # The document under a tier's +desired+ key: what the tier should be.
  class Desired
    attr_reader :generation, :stable, :canary

    # Raises MalformedDocument or UnknownSchema.
    def self.parse(key, text)
      new(Document.parse(key, text))
    end

    def initialize(document)
      @canary = document.has?('canary') ? Canary.read(document.child('canary')) : nil
      writer = document.child('written_by')
      @generation = document.integer('generation')
      @stable = Assignment.read(document.child('stable'))
      check_writer(writer)
      document.text('written_at')
      %w(sequence previous).each { |name| document.integer(name) if document.has?(name) }
      freeze
    end

    # The canary's assignment if it covers the node, else the stable one.
    def assignment_for(node)
      canary&.node?(node) ? canary.assignment : stable
    end

    private

    # Nodes do not use the writer, but both languages must call the same documents malformed.
    def check_writer(document)
      %w(dag_id run_id task_id).each { |name| document.text(name) }
      document.integer('map_index', minimum: -1)
      document.integer('transition', minimum: 1) if document.has?('transition')
    end
  end
end
