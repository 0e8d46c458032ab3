# frozen_string_literal: true

require 'delegate'

RSpec.describe DesiredState::Once do
  let(:lock_key) { keys.lock('db', 'schema') }
  let(:done_key) { keys.done('db', 'schema', '42') }

  # Makes Once renew more often than Consul's shortest TTL requires, and exposes its session and the renewing thread.
  let(:hasty_class) do
    Class.new(SimpleDelegator) do
      attr_reader :session, :renewer

      def create_session(name:, **)
        @session = super(name: name, ttl: 10)
      end

      def renew_session(id)
        @renewer = Thread.current
        super
      end
    end
  end

  def make(url: consul_url, node: 'db-1', kv: kv_at(url), ttl: 10, wait: 30, **options)
    described_class.new(kv: kv, lock_key: lock_key, done_key: done_key, node: node, ttl: ttl, wait: wait, poll: 0.02, **options)
  end

  # The sessions that hold the lock or wait for it.
  def sessions
    JSON.parse(Net::HTTP.get(URI("#{consul_url}/v1/session/list"))).select { |row| row['Name'].include?(lock_key) }
  end

  # Calls the block, with the session, while another node holds the lock.
  def held(value = '{"schema": 1, "node": "db-9", "at": "2026-11-22T08:00:00Z"}')
    session = kv.create_session(name: 'the holder', ttl: 10, lock_delay: 0)
    raise 'the lock is not free' unless kv.put(lock_key, value, acquire: session)

    yield session
  ensure
    kv.destroy_session(session)
  end

  it 'does the work, and records who did it and when' do
    expect(make.run { nil }).to eq(:ran)
    expect(stored(done_key)).to match('schema' => 1, 'node' => 'db-1', 'at' => /\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/)
    expect(sessions).to be_empty
  end

  it 'does not repeat finished work, and takes no lock' do
    make.run { nil }
    asked = peer { |request| Peer.forward(request) }
    expect(make(url: asked.url, node: 'db-2').run { raise 'twice' }).to eq(:already)
    expect(asked.writes).to be_empty
  end

  it 'does the work on exactly one of eight nodes that arrive at once' do
    ran = Queue.new
    nodes = Array.new(8) do |number|
      Thread.new do
        make(node: "db-#{number}").run do
          wait_until('the other nodes') { sessions.size == 8 }
          ran << number
        end
      end
    end
    results = nodes.map(&:value)
    expect(results.tally).to eq(ran: 1, already: 7)
    expect(ran.size).to eq(1)
    winner = ran.pop
    expect(results[winner]).to eq(:ran)
    expect(stored(done_key)['node']).to eq("db-#{winner}")
    expect(sessions).to be_empty
  end

  it 'takes over from a holder that died' do
    asked = peer { |request| Peer.forward(request) }
    waiting = nil
    held do
      waiting = Thread.new { make(url: asked.url).run { nil } }
      wait_until('the node to find the lock held') { asked.requests.any? { |request| request.target.include?('renew') } }
      expect(kv.get(done_key)).to be_nil
    end
    expect(waiting.value).to eq(:ran)
  end

  it 'waits while another node does the work, and does not repeat it' do
    held do |holder|
      waiting = Thread.new { make.run { raise 'twice' } }
      wait_until('the node to wait') { sessions.size == 1 }
      kv.put(done_key, '{}')
      expect(waiting.value).to eq(:already)
      expect(kv.renew_session(holder)).to be(true) # it did not wait for the lock
    end
  end

  it 'checks again under the lock, since the work may have been done meanwhile' do
    late = peer do |request|
      kv.put(done_key, '{}') if request.target.include?('acquire=')
      Peer.forward(request)
    end
    expect(make(url: late.url).run { raise 'twice' }).to eq(:already)
  end

  {
    '{"schema": 1, "node": "db-9", "at": "2026-11-22T08:00:00Z"}' => 'held by db-9 since 2026-11-22T08:00:00Z',
    'garbage' => 'holder unknown',
    '[1]' => 'holder unknown',
  }.each do |holder, words|
    it "times out on a lock whose value is #{holder[0, 10]}, and says who holds it" do
      held(holder) do
        expect { make(wait: 0).run { raise 'not my turn' } }
          .to raise_error(DesiredState::LockTimeout, "#{lock_key} was not free within 0 s: #{words}")
      end
      expect(sessions).to be_empty
    end
  end

  it 'does not mark failed work as done, and frees the lock at once' do
    expect { make.run { raise IOError, 'the disk is full' } }.to raise_error(IOError, 'the disk is full')
    expect(kv.get(done_key)).to be_nil
    expect(sessions).to be_empty
    expect(make(node: 'db-2', wait: 0).run { nil }).to eq(:ran)
  end

  it 'raises LockLost if the lock is lost in the middle of the work, which is not marked as done' do
    hasty = hasty_class.new(kv)
    work = proc do
      kv.destroy_session(hasty.session)
      wait_until('a renewal') { hasty.renewer }
      hasty.renewer.join
    end
    expect { make(kv: hasty, ttl: 0.1).run(&work) }
      .to raise_error(DesiredState::LockLost, /\A#{lock_key} was lost in the middle of the work; another node may/)
    expect(kv.get(done_key)).to be_nil
  end

  it 'renews its session while it works, even if single renewals fail' do
    renewals = Queue.new
    troubled = peer do |request|
      next Peer.forward(request) unless request.target.include?('renew')

      renewals << request
      renewals.size < 3 ? [500, 'No cluster leader'] : Peer.forward(request)
    end
    work = proc { wait_until('a renewal after trouble') { renewals.size > 3 } }
    expect(make(kv: hasty_class.new(kv_at(troubled.url)), ttl: 0.1).run(&work)).to eq(:ran)
  end

  it 'raises LockLost if its session expires while it waits' do
    late = peer do |request|
      kv.destroy_session(request.path.split('/').last) if request.target.include?('renew')
      Peer.forward(request)
    end
    held do
      expect { make(url: late.url).run { raise 'not my turn' } }
        .to raise_error(DesiredState::LockLost, /\A#{lock_key}: the session expired while this node waited/)
    end
  end

  it 'raises LockLost if another node did the work at the same time' do
    expect { make.run { kv.put(done_key, '{"node": "db-9"}') } }
      .to raise_error(DesiredState::LockLost, /\A#{done_key} was written by another node/)
    expect(stored(done_key)).to eq('node' => 'db-9')
  end

  it 'survives an election while it takes the lock and while it marks the work as done' do
    troubled = %w(session/create acquire= done/ release=)
    elected = peer do |request|
      part = request.verb == 'PUT' && troubled.find { |name| request.target.include?(name) }
      part ? troubled.delete(part) && [500, 'No cluster leader'] : Peer.forward(request)
    end
    ran = 0
    expect(make(url: elected.url).run { ran += 1 }).to eq(:ran)
    expect([ran, troubled]).to eq([1, []])
    expect(stored(done_key)['node']).to eq('db-1')
  end

  it 'recognises its own mark if the answer to the write was lost' do
    deaf = true
    forgetful = peer do |request|
      answer = Peer.forward(request)
      next answer unless deaf && request.verb == 'PUT' && request.target.include?('done/')

      deaf = false
      nil
    end
    expect(make(url: forgetful.url).run { nil }).to eq(:ran)
    expect(deaf).to be(false)
  end

  it 'fails if it cannot mark the work as done' do
    gone = peer { |request| request.target.include?('cas=') ? [500, 'No cluster leader'] : Peer.forward(request) }
    expect { make(kv: hasty_class.new(kv_at(gone.url)), ttl: 0.1).run { nil } }
      .to raise_error(DesiredState::ConsulUnavailable, /No cluster leader/)
    expect(kv.get(done_key)).to be_nil
  end

  it 'does nothing if Consul refuses' do
    refusing = peer { |request| request.verb == 'PUT' ? [403, 'Permission denied', {}] : Peer.forward(request) }
    expect { make(url: refusing.url).run { raise 'without a lock' } }.to raise_error(DesiredState::AccessDenied)
  end
end
