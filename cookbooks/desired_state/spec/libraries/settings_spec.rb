# frozen_string_literal: true

RSpec.describe DesiredState::Settings do
  subject(:address) { ->(given = {}, env = {}) { make(given, env).kv.url } }

  def make(given = {}, env = {})
    described_class.new({ 'node_name' => 'web-1', 'environment' => 'prod' }.merge(given), env: env)
  end

  def write(content, name: 'file')
    File.join(directory, name).tap { |path| File.binwrite(path, content) }
  end

  # The token that a request sends.
  def token_of(given = {}, env = {})
    asked = peer { [404, ''] }
    make({ 'consul_url' => asked.url }.merge(given), env).kv.get('x')
    asked.requests.first.headers['x-consul-token']
  end

  it 'has defaults for everything but the names' do
    expect(make).to have_attributes(node_name: 'web-1', environment: 'prod', patience: 15, state_dir: nil)
    expect(make.keys.desired('web')).to eq('chefconsul/prod/web/desired')
    expect(address.call).to eq('http://127.0.0.1:8500')
  end

  it 'uses the settings that it is given' do
    given = { 'prefix' => 'a/b', 'patience' => '2.5', 'state_dir' => '/var/lib/x', 'consul_url' => 'https://consul:8501' }
    expect(make(given)).to have_attributes(patience: 2.5, state_dir: '/var/lib/x')
    expect(make(given).keys.desired('web')).to eq('a/b/prod/web/desired')
    expect(address.call(given)).to eq('https://consul:8501')
  end

  describe "the node's meta data" do
    def agent(name, meta)
      peer { [200, JSON.generate('Config' => { 'NodeName' => name }, 'Meta' => meta)] }.url
    end

    it "is its agent's, unless it is set" do
      url = agent('web-1', 'rack' => 'r1')
      expect(make('consul_url' => url).meta('rack')).to eq('r1')
      expect(make('consul_url' => url).meta('room')).to eq('')
      expect(make('consul_url' => url, 'meta' => { 'rack' => 'r2' }).meta('rack')).to eq('r2')
    end

    it "is never another node's" do
      expect { make('consul_url' => agent('server-1', 'rack' => 'r1')).meta('rack') }
        .to raise_error(DesiredState::InvalidInput, /belongs to node "server-1", not to web-1: .* the setting meta/)
    end

    it 'must be texts by key' do
      ['r1', { 'rack' => 1 }].each do |meta|
        expect { make('meta' => meta) }.to raise_error(DesiredState::InvalidInput, /\Ameta must be texts by key/)
      end
    end
  end

  describe "Consul's environment variables" do
    it 'give the address if no setting does' do
      expect(address.call({}, 'CONSUL_HTTP_ADDR' => 'https://consul:1')).to eq('https://consul:1')
      expect(address.call({}, 'CONSUL_HTTP_ADDR' => 'consul:1')).to eq('http://consul:1')
      expect(address.call({}, 'CONSUL_HTTP_ADDR' => 'consul:1', 'CONSUL_HTTP_SSL' => 'true')).to eq('https://consul:1')
      expect(address.call({}, 'CONSUL_HTTP_ADDR' => '')).to eq('http://127.0.0.1:8500')
      expect(address.call({ 'consul_url' => 'http://mine:1' }, 'CONSUL_HTTP_ADDR' => 'other:1')).to eq('http://mine:1')
    end

    it "are true or false in every spelling that Consul's own tools accept" do
      words = { true => %w(1 t T TRUE true True), false => %w(0 f F FALSE false False) }
      words.each do |meant, spellings|
        spellings.each do |text|
          expect(address.call({}, 'CONSUL_HTTP_ADDR' => 'consul:1', 'CONSUL_HTTP_SSL' => text))
            .to eq("#{meant ? 'https' : 'http'}://consul:1")
          expect(make({}, 'CONSUL_HTTP_SSL_VERIFY' => text).send(:tls)[:verify]).to be(meant)
        end
      end
      expect(make({}, 'CONSUL_HTTP_SSL_VERIFY' => '').send(:tls)[:verify]).to be(true)
    end

    it 'are refused in any other spelling, by an error that names the variable' do
      { 'CONSUL_HTTP_SSL' => 'yes', 'CONSUL_HTTP_SSL_VERIFY' => 'no' }.each do |name, text|
        expect { make({}, 'CONSUL_HTTP_ADDR' => 'consul:1', name => text) }
          .to raise_error(DesiredState::InvalidInput, "#{name} must be true or false, not #{text.inspect}")
      end
    end

    it 'give the token if no setting does' do
      file = write("from-file\n")
      other = write('from-setting', name: 'other')
      expect(token_of).to be_nil
      expect(token_of({}, 'CONSUL_HTTP_TOKEN' => '')).to be_nil
      expect(token_of({}, 'CONSUL_HTTP_TOKEN' => 'from-env')).to eq('from-env')
      expect(token_of({}, 'CONSUL_HTTP_TOKEN' => 'from-env', 'CONSUL_HTTP_TOKEN_FILE' => file)).to eq('from-file')
      expect(token_of({ 'token_file' => other }, 'CONSUL_HTTP_TOKEN_FILE' => file)).to eq('from-setting')
    end

    it 'give the TLS files if no setting does' do
      env = { 'CONSUL_HTTP_ADDR' => 'https://consul:1', 'CONSUL_CLIENT_CERT' => '/from/env.pem' }
      expect { make({}, env) }.to raise_error(DesiredState::InvalidInput, %r{/from/env\.pem})
      expect { make({ 'cert_file' => '/mine.pem' }, env) }.to raise_error(DesiredState::InvalidInput, %r{/mine\.pem})
      expect { make({}, env.merge('CONSUL_CLIENT_CERT' => '')) }.not_to raise_error
    end
  end

  describe 'namespace and partition' do
    # What each request sends; the first asks whether Consul has any.
    def tenancy_of(given = {}, env = {})
      asked = peer { [404, ''] }
      asked.answer = ->(request) { request.path.match?(%r{/v1/(namespaces|partitions)\z}) ? [200, '[]'] : [404, ''] }
      make({ 'consul_url' => asked.url }.merge(given), env).kv.get('x')
      asked.requests.map { |request| request.headers.values_at('x-consul-namespace', 'x-consul-partition') }.uniq
    end

    it 'are sent with every request' do
      expect(tenancy_of).to eq([[nil, nil]])
      expect(tenancy_of('namespace' => 'team')).to eq([['team', nil]])
      expect(tenancy_of('partition' => 'eu', 'namespace' => 'team')).to eq([%w(team eu)])
    end

    it "are given by Consul's environment variables if no setting does" do
      env = { 'CONSUL_NAMESPACE' => 'team', 'CONSUL_PARTITION' => 'eu' }
      expect(tenancy_of({}, env)).to eq([%w(team eu)])
      expect(tenancy_of({ 'namespace' => 'mine' }, env)).to eq([%w(mine eu)])
      expect(tenancy_of({}, env.transform_values { '' })).to eq([[nil, nil]])
    end
  end

  describe 'the token file' do
    { 'nothing' => " \n", 'two tokens' => "one\ntwo", 'bytes' => "\xff\xfe", 'text outside of ASCII' => 'tökén' }
      .each do |what, content|
        it "must not hold #{what}" do
          path = write(content)
          expect { make('token_file' => path) }
            .to raise_error(DesiredState::InvalidInput, "token file #{path} must hold one ACL token and nothing else")
        end
      end

    it 'must exist' do
      expect { make('token_file' => '/nowhere/token') }
        .to raise_error(DesiredState::InvalidInput, %r{token file /nowhere/token cannot be read})
    end
  end

  it 'refuses a token from the environment that no header can carry' do
    expect { make({}, 'CONSUL_HTTP_TOKEN' => "one\r\nX-Two: 2") }
      .to raise_error(DesiredState::InvalidInput, 'CONSUL_HTTP_TOKEN must hold one ACL token and nothing else')
  end

  {
    { 'node_name' => nil } => /\Anode nil is not a name/,
    { 'node_name' => 'web/1' } => %r{\Anode "web/1" is not a name},
    { 'environment' => '_default' } => /the environment is missing; set node\['desired_state'\]\['environment'\]/,
    { 'environment' => nil } => /the environment is missing/,
    { 'environment' => '' } => /\Aenvironment "" is not a name/,
    { 'environment' => 7 } => /environment must be text, not 7/,
    { 'prefix' => '/a' } => %r{prefix "/a" must be one or more names},
    { 'patience' => 'long' } => /patience must be a number of seconds, not "long"/,
    { 'patience' => true } => /patience must be a number of seconds, not true/,
    { 'namespace' => 'team/1' } => %r{namespace must be 1 to 64 letters, digits or hyphens, not "team/1"},
    { 'partition' => "eu\r\nX-Two: 2" } => /partition must be 1 to 64 letters/,
    { 'namespace' => 7 } => /setting namespace must be text, not 7/,
    { 'verify' => 'false' } => /verify must be true or false, not "false"/,
    { 'consul_url' => 8500 } => /setting consul_url must be text, not 8500/,
    { 'token_file' => ['a'] } => /setting token_file must be text/,
    { 'state_dir' => { 'a' => 1 } } => /setting state_dir must be text/,
    { 'consul' => 'x', 'adress' => 'y' } => /unknown settings of desired_state: adress, consul/,
  }.each do |given, message|
    it "refuses #{given}" do
      expect { make(given) }.to raise_error(DesiredState::InvalidInput, message)
    end
  end

  describe '.read' do
    it 'reads the file of desired_state_install' do
      path = write(JSON.generate(settings_given(patience: 3)))
      expect(described_class.read(path)).to have_attributes(node_name: 'web-1', patience: 3)
    end

    { 'garbage' => '{', 'no object' => '[]', 'null' => 'null', 'bytes' => "{\"node_name\": \"\xff\"}" }.each do |what, content|
      it "refuses a file that holds #{what}" do
        expect { described_class.read(write(content)) }.to raise_error(DesiredState::InvalidInput)
      end
    end

    it 'names a missing file' do
      expect { described_class.read('/nowhere.json') }
        .to raise_error(DesiredState::InvalidInput, %r{\Asettings /nowhere\.json cannot be read})
    end
  end
end
