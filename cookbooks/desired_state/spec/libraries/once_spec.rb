# frozen_string_literal: true

require 'delegate'

RSpec.describe DesiredState::Once do
  let(:lock_key) { keys.lock('db', 'schema') }
  let(:done_key) { keys.done('db', 'schema', '42') }

  # Lets Once renew oftener than Consul's shortest TTL would have it, and shows its session and the thread that renews.
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

  # The sessions that wait for the lock or hold it.
  def sessions
    JSON.parse(Net::HTTP.get(URI("#{consul_url}/v1/session/list"))).select { |row| row['Name'].include?(lock_key) }
  end

  # Another node that holds the lock; the block is called meanwhile, with its session.
  def held(value = '{"schema": 1, "node": "db-9", "at": "2026-11-22T08:00:00Z"}')
    session = kv.create_session(name: 'the holder', ttl: 10, lock_delay: 0)
    raise 'the lock is not free' unless kv.put(lock_key, value, acquire: session)

    yield session
  ensure
    kv.destroy_session(session)
  end

  it 'does the work, and says who did it and when' do
    expect(make.run { nil }).to eq(:ran)
    expect(stored(done_key)).to match('schema' => 1, 'node' => 'db-1', 'at' => /\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/)
    expect(sessions).to be_empty
  end

  it 'does not do again what is done, and takes no lock for it' do
    make.run { nil }
    asked = peer { |request| Peer.forward(request) }
    expect(make(url: asked.url, node: 'db-2').run { raise 'twice' }).to eq(:already)
    expect(asked.writes).to be_empty
  end

  it 'does the work on exactly one of eight nodes that come at once' do
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

  it 'waits for another node to do it, and does not do it then' do
    held do |holder|
      waiting = Thread.new { make.run { raise 'twice' } }
      wait_until('the node to wait') { sessions.size == 1 }
      kv.put(done_key, '{}')
      expect(waiting.value).to eq(:already)
      expect(kv.renew_session(holder)).to be(true) # it did not wait for the lock
    end
  end

  it 'looks again under the lock, since it may have been done meanwhile' do
    late = peer do |request|
      kv.put(done_key, '{}') if request.target.include?('acquire=')
      Peer.forward(request)
    end
    expect(make(url: late.url).run { raise 'twice' }).to eq(:already)
  end

  {
    '{"schema": 1, "node": "db-9", "at": "2026-11-22T08:00:00Z"}' => 'held by db-9 since 2026-11-22T08:00:00Z',
    'garbage' => 'whoever holds it does not say',
    '[1]' => 'whoever holds it does not say',
  }.each do |holder, words|
    it "gives up waiting for a lock that holds #{holder[0, 10]}, saying so" do
      held(holder) do
        expect { make(wait: 0).run { raise 'not my turn' } }
          .to raise_error(DesiredState::LockTimeout, "#{lock_key} was not free within 0 s: #{words}")
      end
      expect(sessions).to be_empty
    end
  end

  it 'leaves no mark of work that failed, and frees the lock at once' do
    expect { make.run { raise IOError, 'the disk is full' } }.to raise_error(IOError, 'the disk is full')
    expect(kv.get(done_key)).to be_nil
    expect(sessions).to be_empty
    expect(make(node: 'db-2', wait: 0).run { nil }).to eq(:ran)
  end

  it 'says that the lock was lost in the middle of the work, and leaves no mark' do
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

  it 'renews its session while it works, whatever single renewals come to' do
    renewals = Queue.new
    troubled = peer do |request|
      next Peer.forward(request) unless request.target.include?('renew')

      renewals << request
      renewals.size < 3 ? [500, 'No cluster leader'] : Peer.forward(request)
    end
    work = proc { wait_until('a renewal after trouble') { renewals.size > 3 } }
    expect(make(kv: hasty_class.new(kv_at(troubled.url)), ttl: 0.1).run(&work)).to eq(:ran)
  end

  it 'says that its session expired while it waited' do
    late = peer do |request|
      kv.destroy_session(request.path.split('/').last) if request.target.include?('renew')
      Peer.forward(request)
    end
    held do
      expect { make(url: late.url).run { raise 'not my turn' } }
        .to raise_error(DesiredState::LockLost, /\A#{lock_key}: the session expired while this node waited/)
    end
  end

  it 'says that another node did the work at the same time' do
    expect { make.run { kv.put(done_key, '{"node": "db-9"}') } }
      .to raise_error(DesiredState::LockLost, /\A#{done_key} was written by another node/)
    expect(stored(done_key)).to eq('node' => 'db-9')
  end

  it 'bears an election while it takes the lock and while it says that it is done' do
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

  it 'knows its own mark when the answer to the write was lost' do
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

  it 'fails when it cannot say that the work is done' do
    gone = peer { |request| request.target.include?('cas=') ? [500, 'No cluster leader'] : Peer.forward(request) }
    expect { make(kv: hasty_class.new(kv_at(gone.url)), ttl: 0.1).run { nil } }
      .to raise_error(DesiredState::ConsulUnavailable, /No cluster leader/)
    expect(kv.get(done_key)).to be_nil
  end

  it 'does nothing where Consul says no' do
    refusing = peer { |request| request.verb == 'PUT' ? [403, 'Permission denied', {}] : Peer.forward(request) }
    expect { make(url: refusing.url).run { raise 'without a lock' } }.to raise_error(DesiredState::AccessDenied)
  end
end
