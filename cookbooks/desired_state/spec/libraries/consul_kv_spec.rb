# frozen_string_literal: true

RSpec.describe DesiredState::ConsulKV do
  let(:key) { keys.desired('web') }

  describe 'against a real Consul' do
    it 'reads back its writes byte by byte' do
      value = "größer ✓ \x00\xff".b
      expect(kv.put(key, value)).to be(true)
      expect(kv.get(key)).to have_attributes(value: value, modify_index: a_value > 0)
    end

    it 'tells a missing key from an empty one' do
      expect(kv.get(key)).to be_nil
      kv.put(key, '')
      expect(kv.get(key).value).to eq('')
    end

    it 'writes with cas only if the key has not changed meanwhile' do
      expect(kv.put(key, 'one', cas: 0)).to be(true)
      expect(kv.put(key, 'two', cas: 0)).to be(false)
      index = kv.get(key).modify_index
      expect(kv.put(key, 'two', cas: index)).to be(true)
      expect(kv.put(key, 'three', cas: index)).to be(false)
      expect(kv.get(key).value).to eq('two')
    end

    it 'lists what is below a prefix, in the order of its keys, with what orders it in time' do
      expect(kv.list("#{prefix}/a/").entries).to eq([])
      %w(a/2 a/1 b/1).each { |name| kv.put("#{prefix}/#{name}", name) }
      kv.put("#{prefix}/a/2", 'again')
      listing = kv.list("#{prefix}/a/")
      expect(listing.entries.map { |entry| [entry.key, entry.value] }).to eq(
        [["#{prefix}/a/1", 'a/1'], ["#{prefix}/a/2", 'again']]
      )
      one, two = listing.entries
      expect(two.create_index).to be < one.create_index
      expect(two.modify_index).to be > one.modify_index
      expect(listing.index).to be >= two.modify_index
    end

    it 'waits until a key, or any below a prefix, has changed' do
      kv.put(key, 'one')
      index = kv.get(key).modify_index
      expect(kv.changed?(key, index: index - 1, seconds: 30)).to be(true)
      expect(kv.changed?(key, index: index, seconds: 0.1)).to be(false)
      watches = [{}, { below: true }].map do |options|
        Thread.new { kv.changed?(options.empty? ? key : "#{prefix}/", index: index, seconds: 30, **options) }
      end
      kv.put(key, 'two')
      expect(watches.map(&:value)).to eq([true, true])
    end

    it 'deletes a key only if it has not changed meanwhile' do
      kv.put(key, 'one')
      index = kv.get(key).modify_index
      kv.put(key, 'two')
      expect(kv.delete(key, cas: index)).to be(false)
      expect(kv.delete(key, cas: kv.get(key).modify_index)).to be(true)
      expect(kv.get(key)).to be_nil
    end

    it 'skips a write that changes nothing, so that a renewal has to change something' do
      kv.put(key, 'one')
      index = kv.get(key).modify_index
      expect(kv.put(key, 'one', cas: index)).to be(true)
      expect(kv.get(key).modify_index).to eq(index)
    end

    it 'gives a lock to one session at a time' do
      mine, other = Array.new(2) { kv.create_session(name: 'spec', ttl: 10, lock_delay: 0) }
      expect(kv.put(key, 'mine', acquire: mine)).to be(true)
      expect(kv.put(key, 'mine', acquire: mine)).to be(true)
      expect(kv.put(key, 'other', acquire: other)).to be(false)
      expect(kv.put(key, '', release: mine)).to be(true)
      expect(kv.put(key, 'other', acquire: other)).to be(true)
    ensure
      [mine, other].each { |session| kv.destroy_session(session) }
    end

    it 'renews a session while there is one' do
      session = kv.create_session(name: 'spec', ttl: 10)
      expect(kv.renew_session(session)).to be(true)
      kv.destroy_session(session)
      expect(kv.renew_session(session)).to be(false)
    end
  end

  describe 'in a namespace or partition' do
    { namespace: 'team', partition: 'eu' }.each do |field, name|
      it "is refused by a Consul that has no #{field}s, before anything is written" do
        elsewhere = described_class.new(url: kv.url, field => name)
        [-> { elsewhere.put(key, '1') }, -> { elsewhere.get(key) }, -> { elsewhere.create_session(name: 'spec', ttl: 10) }]
          .each do |call|
            expect(&call).to raise_error(DesiredState::RequestRejected, /no #{field}s, a .*; remove the setting #{field}\z/)
          end
        expect(kv.get(key)).to be_nil
      end
    end

    it 'asks only once whether Consul has any, and takes a refusal of that list for a yes' do
      enterprise = peer { |request| request.path == '/v1/namespaces' ? [403, 'Permission denied', {}] : [200, 'true'] }
      elsewhere = described_class.new(url: enterprise.url, namespace: 'team')
      2.times { elsewhere.put(key, '1') }
      expect(enterprise.requests.map(&:path)).to eq(['/v1/namespaces', "/v1/kv/#{key}", "/v1/kv/#{key}"])
    end

    it 'takes an outage for no answer' do
      away = peer { [500, 'No cluster leader'] }
      expect { described_class.new(url: away.url, namespace: 'team').put(key, '1') }
        .to raise_error(DesiredState::ConsulUnavailable)
      expect(away.writes).to be_empty
    end
  end

  describe 'against a server that misbehaves' do
    it "never mistakes 403 for a missing key, and shows Consul's reason" do
      refusing = peer { [403, 'Permission denied', {}] }
      expect { kv_at(refusing.url).get(key, patience: 5) }.to raise_error(
        DesiredState::AccessDenied, "Consul at #{refusing.url} refused GET /v1/kv/#{key} to this node's token: Permission denied"
      )
      expect(refusing.requests.size).to eq(1)
    end

    {
      'a 404 that is not from Consul' => [404, 'not found', {}],
      'a 200 that is not from Consul' => [200, '[{"Value": "e30=", "ModifyIndex": 1}]', {}],
      'a redirect' => [301, '', { 'Location' => 'http://127.0.0.1/' }],
      'a 400' => [400, 'Missing key name'],
      'what is no JSON' => [200, '<html>'],
      'JSON of another form' => [200, '{"Value": "e30="}'],
      'a list of something else' => [200, '[1]'],
      'an empty list' => [200, '[]'],
    }.each do |what, answer|
      it "mistakes #{what} neither for a missing key nor for a value" do
        other = peer { answer }
        expect { kv_at(other.url).get(key, patience: 5) }
          .to raise_error(DesiredState::RequestRejected, /#{other.url} answered #{answer[0]} to a read of #{key}, not as/)
        expect(other.requests.size).to eq(1)
      end
    end

    [[500, 'No cluster leader'], [503, ''], [429, 'slow down']].each do |status, words|
      it "retries after #{status}, within its patience" do
        answers = [[status, words], nil, "garbage\r\n\r\n"]
        troubled = peer { |request| answers.empty? ? Peer.forward(request) : answers.shift }
        kv.put(key, 'there')
        expect(kv_at(troubled.url).get(key, patience: 30).value).to eq('there')
        expect(troubled.requests.size).to eq(4)
      end
    end

    it "tries once without patience, and shows Consul's reason in one line" do
      troubled = peer { [500, "No\n cluster \xff leader".b] }
      expect { kv_at(troubled.url).get(key) }.to raise_error(
        DesiredState::ConsulUnavailable, "Consul at #{troubled.url} answered 500: No cluster � leader"
      )
      expect(troubled.requests.size).to eq(1)
    end

    it 'gives up when its patience is over' do
      troubled = peer { [500, ''] }
      expect { kv_at(troubled.url).get(key, patience: 1) }
        .to raise_error(DesiredState::ConsulUnavailable, /answered 500: no reason given/)
      expect(troubled.requests.size).to be_between(2, 4) # with pauses that double from 0.1 s
    end

    it 'reports that nothing listens' do
      url = nowhere
      expect { kv_at(url).get(key) }
        .to raise_error(DesiredState::ConsulUnavailable, /\AConsul at #{url} is unreachable: Errno::ECONNREFUSED/)
    end

    it 'does not wait forever for an answer' do
      released = Queue.new
      silent = peer { released.pop }
      expect { kv_at(silent.url).put(key, 'x', timeout: 0.1) }
        .to raise_error(DesiredState::ConsulUnavailable, /unreachable: Timeout::Error: no whole answer within 0.1 s/)
      expect { kv_at(silent.url).get(key) }.to raise_error(DesiredState::ConsulUnavailable, /no whole answer within 1.0 s/)
    ensure
      released.close
    end

    { 'body' => "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", 'head' => 'HTTP/1.1 200 ' }.each do |what, begun|
      it "does not wait forever for a #{what} that comes byte by byte" do
        listener = TCPServer.new('127.0.0.1', 0)
        trickle = Thread.new do
          socket = listener.accept
          socket.write(begun)
          loop do
            socket.write('x')
            sleep(0.02)
          end
        rescue SystemCallError
          :cut_off
        end
        expect { kv_at("http://127.0.0.1:#{listener.addr[1]}").put(key, 'x', timeout: 0.3) }
          .to raise_error(DesiredState::ConsulUnavailable, /no whole answer within 0.3 s/)
        expect(trickle.value).to eq(:cut_off)
      ensure
        listener.close
      end
    end

    it 'does not read an endless answer into memory' do
      listener = TCPServer.new('127.0.0.1', 0)
      flood = Thread.new do
        socket = listener.accept
        socket.write("HTTP/1.1 200 OK\r\nX-Consul-Index: 1\r\n\r\n")
        sent = 0
        loop { sent += socket.write('x' * 65_536) }
      rescue SystemCallError
        sent
      end
      expect { kv_at("http://127.0.0.1:#{listener.addr[1]}").get(key, patience: 30) }
        .to raise_error(DesiredState::RequestRejected, %r{answered GET /v1/kv/#{key} with more than 16777216 bytes})
      expect(flood.value).to be < 64 * 1024 * 1024
    ensure
      listener.close
    end

    it "accepts a value of Consul's maximum size" do
      value = SecureRandom.bytes(512 * 1024)
      kv.put(key, value)
      expect(kv.get(key).value).to eq(value)
    end

    {
      'hangs up' => nil,
      'sends garbage' => "garbage\r\n\r\n",
      'cuts its answer short' => "HTTP/1.1 200 OK\r\nX-Consul-Index: 1\r\nContent-Length: 100\r\n\r\ntrue",
      'has no leader' => [500, 'No cluster leader'],
    }.each do |what, answer|
      it "never repeats a PUT when Consul #{what}" do
        troubled = peer { answer }
        expect { kv_at(troubled.url).put(key, 'x', cas: 0) }.to raise_error(DesiredState::ConsulUnavailable)
        expect { kv_at(troubled.url).create_session(name: 'spec', ttl: 10) }.to raise_error(DesiredState::ConsulUnavailable)
        expect(troubled.requests.map(&:target)).to eq(["/v1/kv/#{key}?cas=0", '/v1/session/create'])
      end
    end

    it 'accepts only true as the answer to a write' do
      other = peer { [200, 'OK'] }
      expect { kv_at(other.url).put(key, 'x') }
        .to raise_error(DesiredState::RequestRejected, /did not answer a write of #{key} as Consul does/)
    end

    ['', '[]', '{}', '{"ID": null}'].each do |body|
      it "does not accept the answer #{body.inspect} as a session" do
        other = peer { [200, body] }
        expect { kv_at(other.url).create_session(name: 'spec', ttl: 10) }
          .to raise_error(DesiredState::RequestRejected, /answered 200 to the creation of a session, not as Consul does/)
      end
    end

    it 'tells a refused renewal from an expired session' do
      other = peer { [400, 'no'] }
      expect { kv_at(other.url).renew_session('x') }
        .to raise_error(DesiredState::RequestRejected, /answered 400 to the renewal of a session/)
    end

    it 'sends the token with reads and writes, and only in its header' do
      asked = peer { |request| request.verb == 'PUT' ? [200, 'true'] : [404, ''] }
      with_token = kv_at(asked.url, token: 'secret-token')
      with_token.get(key)
      with_token.put(key, 'x', cas: 0)
      with_token.renew_session('id')
      expect(asked.requests.map { |request| request.headers['x-consul-token'] }).to eq(['secret-token'] * 3)
      expect(asked.requests.map(&:target).join).not_to include('secret')
    end

    it 'sends no token if there is none' do
      asked = peer { [404, ''] }
      kv_at(asked.url).get(key)
      expect(asked.requests.first.headers).not_to include('x-consul-token')
    end

    it 'ignores proxies from the environment' do
      proxy = peer { [200, 'true'] }
      names = %w(http_proxy HTTP_PROXY no_proxy NO_PROXY)
      before = ENV.to_h.slice(*names)
      names.first(2).each { |name| ENV[name] = proxy.url }
      names.last(2).each { |name| ENV[name] = '' }
      # Not a loopback address, since Ruby never uses a proxy for those.
      expect { kv_at('http://192.0.2.1:8500').put(key, 'x', timeout: 0.1) }.to raise_error(DesiredState::ConsulUnavailable)
      expect(proxy.requests).to be_empty
    ensure
      names.each { |name| ENV[name] = before[name] }
    end
  end

  describe '#node_id' do
    def agent(id: 'an-id', name: World::NODE)
      [200, JSON.generate('Config' => { 'NodeID' => id, 'NodeName' => name }, 'Member' => {})]
    end

    it "is the real Consul's id of this machine" do
      agent = JSON.parse(Net::HTTP.get(URI("#{consul_url}/v1/agent/self"))).fetch('Config')
      expect(kv.node_id(agent.fetch('NodeName'))).to eq(agent.fetch('NodeID')).and match(/\A\h{8}-/)
    end

    it 'is unknown if the agent belongs to another node' do
      expect(kv.node_id('some-other-node')).to be_nil
      expect(kv_at(peer { agent }.url).node_id(World::NODE)).to eq('an-id')
      expect(kv_at(peer { agent(name: 'web-2') }.url).node_id(World::NODE)).to be_nil
    end

    {
      'may not be read' => [403, 'Permission denied', {}],
      'is unavailable' => [500, 'No cluster leader'],
      'is not there' => [404, ''],
      'is no JSON' => [200, '<html>'],
      'is a list' => [200, '[]'],
      'has no configuration' => [200, '{}'],
      'has a configuration of another form' => [200, '{"Config": [1]}'],
      'hangs up' => nil,
    }.each do |what, answer|
      it "is unknown when what the agent says of itself #{what}" do
        expect(kv_at(peer { answer }.url).node_id(World::NODE)).to be_nil
      end
    end

    it 'is unknown if the id is not one' do
      [nil, '', 7].each { |id| expect(kv_at(peer { agent(id: id) }.url).node_id(World::NODE)).to be_nil }
    end
  end

  describe 'the address' do
    [
      'consul', 'http://', 'http://:8500', 'ftp://consul:21', 'unix:///run/consul.sock', 'http://consul:8500/ui',
      'http://consul:8500?x=1', 'http://user:secret@consul:8500', 'http://user:sec ret@consul:8500', 'http://consul:port'
    ].each do |url|
      it "refuses #{url} without showing a password" do
        expect { described_class.new(url: url) }.to raise_error(DesiredState::InvalidInput) do |error|
          expect(error.message).to match(%r{\AConsul's address must (have the form http://HOST:PORT|be a URL)})
          expect(error.message).not_to match(/sec ?ret/)
        end
      end
    end

    it 'accepts a trailing slash and IPv6' do
      expect(described_class.new(url: 'http://consul:8500/').url).to eq('http://consul:8500')
      expect(described_class.new(url: 'https://[::1]:8501').url).to eq('https://[::1]:8501')
    end
  end

  describe 'TLS' do
    let(:key_pair) { OpenSSL::PKey::EC.generate('prime256v1') }
    let(:certificate) { self_signed(key_pair, '127.0.0.1') }
    let(:ca_file) { write('ca.pem', certificate.to_pem) }

    def self_signed(key_pair, address)
      name = OpenSSL::X509::Name.parse("/CN=#{address}")
      certificate = OpenSSL::X509::Certificate.new
      certificate.version = 2
      certificate.serial = SecureRandom.random_number(2**64)
      certificate.subject = certificate.issuer = name
      certificate.public_key = key_pair
      certificate.not_before = Time.now - 3600
      certificate.not_after = Time.now + 3600
      extensions = OpenSSL::X509::ExtensionFactory.new(certificate, certificate)
      certificate.add_extension(extensions.create_extension('basicConstraints', 'CA:TRUE', true))
      certificate.add_extension(extensions.create_extension('subjectAltName', "IP:#{address}"))
      certificate.sign(key_pair, OpenSSL::Digest.new('SHA256'))
    end

    def write(name, content)
      File.join(directory, name).tap { |path| File.write(path, content) }
    end

    def server(**options)
      context = OpenSSL::SSL::SSLContext.new
      context.cert = options.fetch(:cert, certificate)
      context.key = key_pair
      if options[:client_ca]
        context.verify_mode = OpenSSL::SSL::VERIFY_PEER | OpenSSL::SSL::VERIFY_FAIL_IF_NO_PEER_CERT
        context.cert_store = OpenSSL::X509::Store.new.add_cert(options[:client_ca])
      end
      peer(tls: context) { |request| Peer.forward(request) }
    end

    it 'trusts a certificate from the given CA' do
      secure = server
      kv.put(key, 'over TLS')
      expect(kv_at(secure.url, tls: { ca_file: ca_file }).get(key).value).to eq('over TLS')
    end

    it 'refuses a certificate from an unknown CA, without a retry' do
      secure = server
      expect { kv_at(secure.url).get(key, patience: 30) }
        .to raise_error(DesiredState::TLSFailed, /\AConsul at #{secure.url}: .*certificate verify failed.*ca_file/)
      expect(secure.requests).to be_empty
    end

    it 'refuses a certificate for another host' do
      other = self_signed(key_pair, '127.0.0.2')
      secure = server(cert: other)
      expect { kv_at(secure.url, tls: { ca_file: write('other.pem', other.to_pem) }).get(key) }
        .to raise_error(DesiredState::TLSFailed, /mismatch|certificate verify failed/)
    end

    it 'accepts any certificate if verify is false' do
      expect(kv_at(server.url, tls: { verify: false }).get(key)).to be_nil
    end

    it 'sends its own certificate to a server that asks for one' do
      secure = server(client_ca: certificate)
      mine = { ca_file: ca_file, cert_file: ca_file, key_file: write('key.pem', key_pair.to_pem) }
      expect(kv_at(secure.url, tls: mine).put(key, 'x')).to be(true)
      expect { kv_at(secure.url, tls: { ca_file: ca_file }).put(key, 'x') }.to raise_error(DesiredState::ConsulError)
    end

    it 'reports that a server does not speak TLS' do
      expect { kv_at(consul_url.sub('http:', 'https:')).get(key, patience: 30) }
        .to raise_error(DesiredState::TLSFailed, /wrong version number/)
    end

    it 'retries if the handshake is cut short' do
      hanging_up = TCPServer.new('127.0.0.1', 0)
      rude = Thread.new do
        socket = hanging_up.accept
        socket.readpartial(65_536) # the whole ClientHello, else this would be a reset
        socket.close
      end
      expect { kv_at("https://127.0.0.1:#{hanging_up.addr[1]}").get(key) }
        .to raise_error(DesiredState::ConsulUnavailable, /unreachable/)
      rude.join
    ensure
      hanging_up.close
    end

    it 'names a file that it cannot use' do
      garbage = write('garbage.pem', 'garbage')
      [{ cert_file: '/nowhere.pem' }, { cert_file: garbage }, { key_file: garbage }].each do |tls|
        expect { kv_at('https://127.0.0.1:1', tls: tls) }
          .to raise_error(DesiredState::InvalidInput, /TLS files cannot be used.*#{tls.values.first}/)
      end
    end
  end
end
