# frozen_string_literal: true

RSpec.describe DesiredState::Slot do
  let(:about) { DesiredState::Assignment.new(generation: 43, state: 'converged', values: {}, id: 'ab', max_parallel: 1) }

  def make(node = World::NODE, node_id: nil, run_id: "run of #{node}", at: kv, **options)
    described_class.new(kv: at, keys: keys, tier: 'web', node: node, node_id: node_id, run_id: run_id, patience: 0, logger: log, **options)
  end

  # The slots whose renewing threads end with the example.
  def slots
    @slots ||= []
  end

  after { slots.each { |slot| slot.settle('interrupted') } }

  # A slot that stands in line, and the line.
  def queue(node = World::NODE, group: '', **options)
    slot = make(node, **options).tap { |one| slots << one }
    slot.queue(about, group)
    [slot, slot.line]
  end

  def hold(node = World::NODE, **options)
    slot, line = queue(node, **options)
    expect([line.enter?(1), slot.hold]).to eq([true, true])
    slot
  end

  def ticket(node = World::NODE)
    stored(keys.ticket('web', node))
  end

  def write_ticket(node = World::NODE, **fields)
    given = {
      'schema' => 1, 'node' => node, 'node_id' => nil, 'run_id' => 'of before', 'generation' => 42, 'id' => nil, 'group' => '',
      'since' => '2026-11-30T08:00:00Z', 'held_since' => nil, 'ttl' => 120, 'failed' => false
    }
    kv.put(keys.ticket('web', node), JSON.generate(given.merge(fields.transform_keys(&:to_s))))
  end

  it 'serves those who come in order, and each leaves one in' do
    first = hold('web-9')
    second, line = queue('web-1')
    expect([line.enter?(1), line.waits_for(1)]).to eq([false, { 'slot' => ['web-9'], 'of' => 1, 'ahead' => 1 }])
    first.settle('succeeded')
    expect(ticket('web-9')).to be_nil
    expect([second.line.enter?(1), second.hold]).to eq([true, true])
  end

  it 'tells people who holds the slot for what, and since when' do
    queue('web-1')
    waiting = ticket('web-1')
    expect(waiting).to include(
      'schema' => 1, 'node' => 'web-1', 'node_id' => nil, 'run_id' => 'run of web-1', 'generation' => 43, 'id' => 'ab',
      'group' => '', 'held_since' => nil, 'ttl' => 600, 'failed' => false
    )
    slots.last.hold
    expect(ticket('web-1')).to eq(waiting.merge('held_since' => ticket('web-1')['held_since'], 'ttl' => 120, 'renewals' => 1))
    expect([waiting['since'], ticket('web-1')['held_since']]).to all(match(/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/))
  end

  {
    'succeeded' => nil,
    'failed' => { 'failed' => true, 'ttl' => 120 },
    'rebooting' => { 'failed' => false, 'ttl' => 1800 },
    'interrupted' => { 'failed' => false, 'ttl' => 120 },
  }.each do |status, left|
    it "leaves #{left ? 'its ticket' : 'nothing'} behind if the run is #{status}" do
      slot = hold
      since = ticket['held_since']
      slot.settle(status)
      expect(ticket).to left ? include(left.merge('held_since' => since)) : be_nil
      expect(slot).not_to be_held
    end
  end

  it 'leaves the ticket as it is if the run ends before its turn' do
    hold('web-2')
    slot, = queue
    before = ticket
    %w(failed rebooting interrupted).each { |status| slot.settle(status) }
    expect(ticket).to eq(before)
  end

  it 'gives back what an earlier run left once a run has succeeded, without a slot of its own' do
    write_ticket(held_since: 'x', failed: true)
    make.settle('failed')
    expect(ticket).to include('failed' => true)
    make.settle('succeeded')
    expect(ticket).to be_nil
  end

  it 'keeps place and slot of an earlier run of this machine' do
    write_ticket('web-2')
    write_ticket(held_since: 'then', failed: true, node_id: 'mine')
    slot, line = queue(node_id: 'mine')
    expect(line.enter?(1)).to be(true)
    slot.hold
    expect(ticket).to include('held_since' => 'then', 'failed' => false, 'run_id' => 'run of web-1', 'generation' => 43)
  end

  it 'begins anew in another group, in which nobody has counted it' do
    write_ticket(held_since: 'then', group: 'r1')
    write_ticket('web-2', held_since: 'then', group: 'r2')
    _, line = queue(group: 'r2')
    expect([line.enter?(1), ticket['held_since']]).to eq([false, nil])
    expect(line.ahead.map(&:node)).to eq(['web-2']) # those who have listed the group already have not seen it
  end

  it 'moves to another group before it holds, and while it holds' do
    write_ticket('web-2', held_since: 'then', group: 'r2')
    slot = hold(group: 'r1')
    slot.queue(about, 'r2')
    expect([slot.held?, slot.line.enter?(1), ticket['group']]).to eq([false, false, 'r2'])
  end

  it 'fails, and changes nothing, if another machine of the same name has the ticket' do
    write_ticket(node_id: 'other')
    before = kv.get(keys.ticket('web', World::NODE))
    expect { queue(node_id: 'mine') }.to raise_error(
      DesiredState::DuplicateNode, %r{a machine of the same name holds ticket #{keys.ticket('web', World::NODE)} \(node id other}
    )
    make(node_id: 'mine').settle('succeeded')
    expect(kv.get(keys.ticket('web', World::NODE))).to eq(before)
  end

  it 'makes its own spoilt ticket anew, and waits for that of another node' do
    kv.put(keys.ticket('web', 'web-2'), '{"node":')
    kv.put(keys.ticket('web', World::NODE), 'spoilt')
    slot, line = queue
    expect([line.enter?(1), line.enter?(2), line.waits_for(1)['slot']]).to eq([false, true, ['web-2']])
    expect(kv.get(keys.ticket('web', 'web-2')).value).to eq('{"node":')
    kv.put(keys.ticket('web', World::NODE), 'spoilt')
    expect(slot.hold).to be(false)
    slot.line
    expect(ticket['run_id']).to eq('run of web-1')
  end

  it 'queues again if its ticket was freed while it waited' do
    write_ticket('web-2', held_since: 'then')
    slot, = queue
    kv.delete(keys.ticket('web', World::NODE), cas: kv.get(keys.ticket('web', World::NODE)).modify_index)
    queue('web-3')
    expect(slot.line.ahead.map(&:node)).to eq(%w(web-2 web-3))
  end

  it 'renews while it holds, so that nobody takes it for dead, and stops at the end' do
    slot = hold(ttl: 1)
    index = -> { kv.get(keys.ticket('web', World::NODE)).modify_index }
    before = index.call
    wait_until('two renewals') { ticket['renewals'] >= 3 }
    expect(index.call).to be > before
    slot.settle('failed')
    left = ticket
    sleep(0.5)
    expect(ticket).to eq(left)
  end

  it 'goes on if its slot is freed while it holds, and says so' do
    slot = hold(ttl: 1)
    kv.delete(keys.ticket('web', World::NODE), cas: kv.get(keys.ticket('web', World::NODE)).modify_index) until ticket.nil?
    wait_until('the warning') { log.lines.any? }
    expect(log.lines).to eq(["warn: desired_state: #{keys.ticket('web', World::NODE)} was freed while this node converges; it goes on"])
    slot.settle('succeeded')
    expect(ticket).to be_nil
  end

  it 'frees the slot of a node that is dead once it has seen its ticket unchanged for its ttl' do
    write_ticket('web-2', held_since: 'then', ttl: 1)
    slot, line = queue
    expect(line.enter?(1)).to be(false)
    slot.wait(line, 1)
    expect(slot.line.enter?(1)).to be(true)
    expect(ticket('web-2')).to be_nil
    expect(log.lines).to eq(['warn: desired_state: freed the slot or place of web-2, not renewed for 1 s'])
  end

  it 'takes no notice of keys that no node can have, which a person may have made' do
    ['', 'web~2', 'web-2/x'].each { |rest| kv.put("#{keys.slots('web')}#{rest}", '') }
    hold
  end

  it 'lets a failed ticket stand' do
    write_ticket('web-2', held_since: 'then', ttl: 1, failed: true)
    slot, = queue
    sleep(1.1)
    expect(slot.line.enter?(1)).to be(false)
  end

  it 'waits until the one before it in line moves, not for the others' do
    write_ticket('web-2', held_since: 'then')
    write_ticket('web-3')
    slot, line = queue
    expect(line.near?(1)).to be(false)
    ended = false
    waiting = Thread.new { slot.wait(line, 1) && ended = true }
    waiting.report_on_exception = false
    write_ticket('web-2', held_since: 'then', ttl: 121)
    write_ticket('web-4')
    expect([waiting.join(0.5), ended]).to eq([nil, false])
    write_ticket('web-3', held_since: 'now')
    expect(waiting.join(30)).to be(waiting)
  end

  it 'wakes the next in line when anybody leaves' do
    write_ticket('web-2', held_since: 'then')
    write_ticket('web-3', held_since: 'then')
    slot, line = queue
    waiting = Thread.new { slot.wait(line, 2) }
    kv.delete(keys.ticket('web', 'web-2'), cas: kv.get(keys.ticket('web', 'web-2')).modify_index)
    expect(waiting.join(30)).to be(waiting)
    expect(slot.line.enter?(2)).to be(true)
  end

  it 'renews while it waits' do
    stub_const('DesiredState::Slot::TTL_OF_WAITING', 1)
    write_ticket('web-2', held_since: 'then', ttl: 1)
    slot, line = queue
    slot.wait(line, 1)
    expect(ticket['renewals']).to be_positive
  end

  it 'does not take itself for the only one if the token may not read the tickets of others' do
    through = peer { |request| request.path.end_with?('/_slots/') ? [403, 'Permission denied'] : Peer.forward(request) }
    expect { queue(at: kv_at(through.url)) }.to raise_error(DesiredState::AccessDenied, %r{refused GET /v1/kv/.*/_slots/})
    expect(ticket).to be_nil
  end
end
