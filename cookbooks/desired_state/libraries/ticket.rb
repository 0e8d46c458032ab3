# frozen_string_literal: true

require_relative 'document'

module DesiredState
  # What a node has under a tier's +_slots/<node>+ key while it holds a slot or waits for one. +group+: the nodes that share
  # its slots; nil in a ticket that cannot be read, which holds a slot of every group. +is_held+: whether it holds a slot.
  # The rest is nil in such a ticket.
  Ticket = Struct.new(
    :node, :group, :is_held, :create_index, :modify_index, :node_id, :run_id, :ttl, :is_failed, :fields, keyword_init: true
  ) do
    # Reads an entry of the view; never raises.
    def self.of(entry)
      node = entry.key.rpartition('/').last
      at = { create_index: entry.create_index, modify_index: entry.modify_index }
      new(node: node, **at, **read(Document.parse(entry.key, entry.value)))
    rescue MalformedDocument
      new(node: node, group: nil, is_held: true, **at)
    end

    def self.read(document)
      is_failed = document.fields.fetch('failed', false)
      raise document.malformed('field failed must be true or false') unless [true, false].include?(is_failed)
      raise document.malformed('is another node\'s') unless document.name('node') == document.key.rpartition('/').last

      document.integer('generation')
      document.text('since')
      %w(id held_since).each { |name| document.text(name) if document.has?(name) }
      { group: document.text('group'), is_held: document.has?('held_since'), run_id: document.text('run_id'),
        node_id: document.has?('node_id') ? document.text('node_id') : nil, ttl: document.integer('ttl', minimum: 1),
        is_failed: is_failed, fields: document.fields }
    end
    private_class_method :read

    # Whether it cannot be read; then only a person may remove it.
    def malformed?
      group.nil?
    end

    # Whether the two compete for the same slots.
    def rival_of?(other)
      malformed? || group == other.group
    end

    # First come, first served.
    def place
      [create_index, node]
    end

    # Whether another machine of the same name has it, as far as both ids are known.
    def of_other_machine?(id)
      !node_id.nil? && !id.nil? && node_id != id
    end
  end
end
