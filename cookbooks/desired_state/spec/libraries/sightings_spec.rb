# frozen_string_literal: true

RSpec.describe DesiredState::Sightings do
  let(:time) { [1000.0] }
  let(:sightings) { described_class.new(clock: -> { time.last }) }

  def ticket(node = 'web-1', modify_index: 7, ttl: 120, group: '', is_failed: false)
    DesiredState::Ticket.new(node: node, modify_index: modify_index, ttl: ttl, group: group, is_failed: is_failed)
  end

  def see(*tickets, at:)
    time << (1000.0 + at)
    sightings.note(tickets)
    sightings.expired(tickets).map(&:node)
  end

  it 'calls a ticket expired that was seen unchanged for its ttl' do
    expect([0, 119, 120].map { |at| see(ticket, at: at) }).to eq([[], [], ['web-1']])
  end

  it 'begins anew with each renewal, and with a ticket that was away' do
    expect(see(ticket, at: 0)).to eq([])
    expect(see(ticket(modify_index: 8), at: 119)).to eq([])
    expect(see(ticket(modify_index: 8), at: 238)).to eq([])
    expect(see(at: 300)).to eq([])
    expect(see(ticket(modify_index: 8), at: 400)).to eq([])
  end

  it 'goes by the ttl of each ticket' do
    tickets = [ticket('web-1', ttl: 120), ticket('web-2', ttl: 600)]
    see(*tickets, at: 0)
    expect(sightings.soonest(tickets)).to eq(120.0)
    expect(see(*tickets, at: 500)).to eq(['web-1'])
    expect(sightings.soonest(tickets.last(1))).to eq(100.0)
  end

  it 'lets neither a failed nor a malformed ticket expire' do
    kept = [ticket('web-1', is_failed: true), ticket('web-2', group: nil, ttl: nil)]
    see(*kept, at: 0)
    expect(see(*kept, at: 100_000)).to eq([])
    expect(sightings.soonest(kept)).to be_nil
  end
end
