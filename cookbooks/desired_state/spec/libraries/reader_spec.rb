# frozen_string_literal: true

RSpec.describe DesiredState::Reader do
  let(:cache_dir) { File.join(directory, 'cache') }
  let(:reader) { make }

  # A reader, as each Chef run makes it.
  def make(**given)
    described_class.new(settings: settings(**given), cache_dir: cache_dir)
  end

  it "reads the node's assignment" do
    desire(canary: canary_fields(nodes: [World::NODE]))
    expect(reader.fetch('web')).to have_attributes(
      tier: 'web', generation: 43, state: 'converged', values: { 'release' => '2.5.0' }, source: 'consul'
    )
  end

  it 'reads a tier once per run, whatever is written meanwhile' do
    desire(generation: 42)
    first = reader.fetch('web')
    desire(generation: 43)
    expect(reader.fetch('web')).to equal(first)
    expect(reader.snapshots).to eq('web' => first)
    expect(make.fetch('web').generation).to eq(43)
  end

  it 'keeps tiers apart' do
    desire('web', state: 'off')
    desire('db', state: 'waiting')
    expect(%w(web db).map { |tier| reader.fetch(tier).state }).to eq(%w(off waiting))
  end

  describe 'a tier that was never declared' do
    it 'fails the run, naming the key' do
      expect { reader.fetch('web') }
        .to raise_error(DesiredState::NoDesiredState, /\A#{keys.desired('web')} does not exist: declare/)
      expect(reader.snapshots).to be_empty
    end

    it "is in the recipe's default state, if there is one" do
      ['off', :off].each do |default|
        expect(make.fetch('web', default: default))
          .to have_attributes(state: 'off', generation: 0, values: {}, source: 'default')
      end
    end

    it 'cannot be in a state with an invalid name' do
      expect { reader.fetch('web', default: 'a b') }.to raise_error(DesiredState::InvalidInput, /state "a b"/)
    end

    it 'is not taken from an older cache' do
      desire
      make.fetch('web', on_unavailable: :last_known)
      Net::HTTP.start('127.0.0.1', URI(consul_url).port, nil) { |http| http.delete("/v1/kv/#{keys.desired('web')}") }
      expect { make.fetch('web', on_unavailable: :last_known) }.to raise_error(DesiredState::NoDesiredState)
    end
  end

  it 'uses the default only for a tier that was never declared' do
    kv.put(keys.desired('web'), '{"schema": 1}')
    expect { reader.fetch('web', default: 'off') }.to raise_error(DesiredState::MalformedDocument)
    expect { make(consul_url: nowhere).fetch('web', default: 'off') }.to raise_error(DesiredState::ConsulUnavailable)
  end

  it 'refuses a malformed document with an error that names the key, cache or not' do
    desire
    make.fetch('web')
    kv.put(keys.desired('web'), '{"schema": 2}')
    expect { make.fetch('web', on_unavailable: :last_known) }
      .to raise_error(DesiredState::UnknownSchema, /\A#{keys.desired('web')}: schema 2 is unknown/)
  end

  it 'refuses an invalid name or policy before it sends a request' do
    asked = peer { [404, ''] }
    expect { make(consul_url: asked.url).fetch('a/b') }.to raise_error(DesiredState::InvalidInput, %r{tier "a/b"})
    expect { make(consul_url: asked.url).fetch('web', on_unavailable: :ignore) }.to raise_error(
      DesiredState::InvalidInput, 'on_unavailable must be one of :fail, :last_known, :fail_late, not :ignore'
    )
    expect(asked.requests).to be_empty
  end

  describe 'without Consul' do
    %i(fail fail_late).each do |policy|
      it "fails with on_unavailable #{policy}, cache or not" do
        desire
        make.fetch('web')
        expect { make(consul_url: nowhere).fetch('web', on_unavailable: policy) }
          .to raise_error(DesiredState::ConsulUnavailable)
      end
    end

    it 'uses the complete last known state of this node with on_unavailable last_known' do
      desire(canary: canary_fields(nodes: [World::NODE], values: { 'name' => 'größer ✓' }))
      make.fetch('web')
      expect(make(consul_url: nowhere).fetch('web', on_unavailable: :last_known))
        .to have_attributes(generation: 43, values: { 'name' => 'größer ✓' }, source: 'cache')
    end

    it 'fails with on_unavailable last_known on a node that has read nothing yet' do
      expect { make(consul_url: nowhere).fetch('web', on_unavailable: :last_known) }
        .to raise_error(DesiredState::ConsulUnavailable, /unreachable.*no last known state of web\z/)
    end

    it 'does not use a damaged cache' do
      desire
      make.fetch('web')
      Dir[File.join(cache_dir, '*')].each { |path| File.write(path, '{') }
      expect { make(consul_url: nowhere).fetch('web', on_unavailable: :last_known) }
        .to raise_error(DesiredState::ConsulUnavailable, /no last known state/)
    end

    it 'does not use the cache of another environment or tier' do
      desire
      make.fetch('web')
      away = { consul_url: nowhere }
      [make(environment: 'test', **away), make(prefix: 'other', **away)].each do |elsewhere|
        expect { elsewhere.fetch('web', on_unavailable: :last_known) }.to raise_error(DesiredState::ConsulUnavailable)
      end
      expect { make(**away).fetch('db', on_unavailable: :last_known) }.to raise_error(DesiredState::ConsulUnavailable)
    end

    it 'never falls back if Consul refuses' do
      desire
      make.fetch('web')
      refusing = peer { [403, 'Permission denied', {}] }
      expect { make(consul_url: refusing.url).fetch('web', on_unavailable: :last_known) }
        .to raise_error(DesiredState::AccessDenied)
    end

    it 'waits for Consul once per run, not once per tier' do
      away = peer { [500, 'No cluster leader'] }
      reader = make(consul_url: away.url, patience: 1)
      expect { reader.fetch('web') }.to raise_error(DesiredState::ConsulUnavailable)
      asked = away.requests.size
      expect(asked).to be > 1
      %w(db app).each { |tier| expect { reader.fetch(tier) }.to raise_error(DesiredState::ConsulUnavailable) }
      expect(away.requests.size).to eq(asked + 2)
    end
  end

  it 'needs no cache to read' do
    desire
    File.write(cache_dir, 'not a directory')
    expect(reader.fetch('web').source).to eq('consul')
    expect(described_class.new(settings: settings, cache_dir: nil).fetch('web').source).to eq('consul')
    without = described_class.new(settings: settings(consul_url: nowhere), cache_dir: nil)
    expect { without.fetch('web', on_unavailable: :last_known) }.to raise_error(DesiredState::ConsulUnavailable)
  end

  it 'writes a cache that only its owner can read' do
    desire
    reader.fetch('web')
    modes = Dir[File.join(cache_dir, '*')].map { |path| File.stat(path).mode & 0o777 }
    expect(modes).to eq([0o600])
  end
end
