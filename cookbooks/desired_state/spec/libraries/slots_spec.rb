# frozen_string_literal: true

RSpec.describe DesiredState::Slots do
  # What one run of a node is made of; +told+ is what it reports to wait for.
  Run = Struct.new(:slots, :reader, :before, :told)

  def run_of(node = World::NODE, url: consul_url, run_id: "run of #{node}", **given)
    settings = settings(node_name: node, consul_url: url, state_dir: File.join(directory, node), **given)
    outbox = DesiredState::Outbox.new(kv: settings.kv, dir: nil)
    before = DesiredState::RunBefore.new(settings: settings, outbox: outbox, run_id: run_id)
    reader = DesiredState::Reader.new(settings: settings, cache_dir: File.join(directory, "cache of #{node}"))
    slots = described_class.new(
      settings: settings, reader: reader, before: before, interruption: DesiredState::Interruption.new, run_id: run_id, logger: log
    )
    runs << slots
    Run.new(slots, reader, before, [])
  end

  def runs
    @runs ||= []
  end

  after { runs.each { |slots| slots.settle('web', 'interrupted') } }

  def enter(run, **options)
    run.slots.enter(run.reader.fetch('web', **options)) { |waits_for| run.told << waits_for }
  end

  def desire(generation: 42, **pace)
    stable = assignment_fields(generation: generation).merge(pace.transform_keys(&:to_s))
    kv.put(keys.desired('web'), JSON.generate(desired_fields.merge('stable' => stable, 'generation' => generation)))
  end

  def holders
    kv.list(keys.slots('web')).entries.map { |entry| DesiredState::Ticket.of(entry) }.select(&:is_held).map(&:node).sort
  end

  # The thread of a run that waits, once it has said so.
  def waiting(run)
    thread = Thread.new { enter(run) }
    thread.report_on_exception = false
    wait_until('the run to wait') { run.told.any? }
    thread
  end

  it 'takes no slot without a limit' do
    desire
    expect(enter(run_of).generation).to eq(42)
    expect(holders).to eq([])
  end

  it 'takes no slot for an assignment that the node has converged on' do
    desire(max_parallel: 1)
    enter(run_of('web-2'))
    kv.put(report_key, report(generation: 42).to_json)
    expect(enter(run_of).generation).to eq(42)
    expect(holders).to eq(%w(web-2))
  end

  it 'waits for its turn, and says behind whom' do
    desire(max_parallel: 1)
    first = run_of('web-2').tap { |run| enter(run) }
    second = run_of
    thread = waiting(second)
    expect([second.told, holders]).to eq([[{ 'slot' => %w(web-2), 'of' => 1, 'ahead' => 1 }], %w(web-2)])
    first.slots.settle('web', 'succeeded')
    expect(thread.value.generation).to eq(42)
    expect(holders).to eq(%w(web-1))
  end

  it 'compiles the newest assignment, not the one for which it began to wait' do
    desire(max_parallel: 1)
    first = run_of('web-2').tap { |run| enter(run) }
    second = run_of
    thread = waiting(second)
    desire(generation: 43, max_parallel: 1)
    first.slots.settle('web', 'succeeded')
    expect(thread.value.generation).to eq(43)
    expect(second.reader.snapshots['web'].generation).to eq(43)
    wait_until('the newest generation in the ticket') { stored(keys.ticket('web', World::NODE))['generation'] == 43 }
  end

  it 'enters when the limit is raised or vanishes' do
    desire(max_parallel: 1)
    enter(run_of('web-2'))
    threads = %w(web-3 web-4).map { |node| waiting(run_of(node)) }
    desire(max_parallel: 2)
    wake_until_ended(threads[0])
    desire
    wake_until_ended(threads[1])
    expect(holders).to eq(%w(web-2 web-3 web-4))
  end

  # A change of the limit alone is seen when the next renewal comes, or after 55 s.
  def wake_until_ended(thread)
    wait_until('the thread to end') do
      entry = kv.get(keys.ticket('web', 'web-2'))
      kv.put(entry.key, JSON.generate(JSON.parse(entry.value).merge('renewals' => rand(1000))))
      thread.join(0.2)
    end
  end

  it 'gives its ticket back if it is to be what it is already' do
    desire(generation: 41, max_parallel: 1)
    kv.put(report_key, report(generation: 41).to_json)
    run = run_of
    run.before.report('web')
    desire(generation: 42, max_parallel: 1)
    enter(run_of('web-2'))
    thread = waiting(run)
    desire(generation: 41, max_parallel: 1)
    wake_until_ended(thread)
    expect(thread.value.generation).to eq(41)
    expect(kv.get(keys.ticket('web', World::NODE))).to be_nil
  end

  it 'takes slots of its own group' do
    desire(max_parallel: 1, per: 'meta:rack')
    enter(run_of('web-2', meta: { 'rack' => 'r1' }))
    enter(run_of('web-3', meta: { 'rack' => 'r2' }))
    enter(run_of('web-4', meta: {}))
    waiting(run_of('web-5', meta: { 'rack' => 'r2' })).kill
    expect(holders).to eq(%w(web-2 web-3 web-4))
  end

  it 'stands in line again if its group changes while it enters' do
    desire(max_parallel: 1, per: 'meta:rack')
    enter(run_of('web-2', meta: { 'rack' => 'r1' }))
    desire(max_parallel: 1)
    through = peer do |request|
      desire(generation: 43, max_parallel: 1, per: 'meta:rack') if request.body.to_s.match?(/"held_since":"/)
      Peer.forward(request)
    end
    run = run_of(url: through.url, meta: { 'rack' => 'r1' })
    waiting(run).kill
    expect([run.told.first['slot'], holders]).to eq([%w(web-2), %w(web-2)])
  end

  it 'stops at nodes that have failed' do
    desire(max_parallel: 2)
    %w(web-2 web-3).each { |node| run_of(node).tap { |run| enter(run) }.slots.settle('web', 'failed') }
    waiting(run_of).kill
    expect(enter(run_of('web-2', run_id: 'the next')).generation).to eq(42)
    expect(holders).to eq(%w(web-2 web-3))
  end

  it 'fails without converging if Consul is away and it needs a slot; not if the node has converged' do
    desire(max_parallel: 1)
    options = { on_unavailable: :last_known }
    run_of.tap { |run| run.reader.fetch('web') } # keeps what it has read
    expect { enter(run_of(url: nowhere), **options) }
      .to raise_error(DesiredState::ConsulUnavailable, /\Aweb requires a slot, since not all its nodes may converge at one time: /)
    run_of.before.remember(report(generation: 42))
    expect(enter(run_of(url: nowhere), **options).source).to eq('cache')
    run_of.before.forget('web')
    expect { enter(run_of(url: nowhere), **options) }.to raise_error(DesiredState::ConsulUnavailable)
  end

  it 'says nothing about slots that the token may not read, if the run needed none' do
    through = peer { |request| request.path.include?('/_slots/') ? [403, 'Permission denied'] : Peer.forward(request) }
    desire
    run = run_of(url: through.url).tap { |one| enter(one) }
    run.slots.settle('web', 'succeeded')
    expect(log.lines).to eq([])
    desire(max_parallel: 1)
    expect { enter(run_of(url: through.url)) }.to raise_error(DesiredState::AccessDenied)
  end

  it 'reports the line again only after a while' do
    stub_const('DesiredState::Slots::PAUSE_OF_REPORTS', 0.0)
    desire(max_parallel: 2)
    nodes = %w(web-2 web-3).map { |node| run_of(node).tap { |run| enter(run) } }
    run = run_of
    desire(max_parallel: 1)
    thread = waiting(run)
    nodes[0].slots.settle('web', 'succeeded')
    wait_until('the second report') { run.told.size == 2 }
    expect(run.told.map { |waits_for| waits_for['slot'] }).to eq([%w(web-2 web-3), %w(web-3)])
    thread.kill
  end

  it 'never lets more nodes converge at one time than the limit, and none starves' do
    desire(max_parallel: 2)
    lock = Mutex.new
    inside = []
    most = 0
    Array.new(6) do |n|
      Thread.new do
        run = run_of("web-#{n}")
        enter(run)
        lock.synchronize { most = [most, (inside << n).size].max }
        sleep(0.05)
        lock.synchronize { inside.delete(n) }
        run.slots.settle('web', 'succeeded')
      end
    end.each { |thread| expect(thread.join(60)).not_to be_nil }
    expect(most).to eq(2)
    expect(holders).to eq([])
  end
end
