# frozen_string_literal: true

RSpec.describe DesiredState::Probe do
  def look(url, timeout: 0, interval: 0.01, **options)
    described_class.new(url, **options).wait(timeout: timeout, interval: interval)
  end

  it 'accepts any status from 200 to 399' do
    [200, 204, 302, 399].each do |status|
      server = peer { [status, ''] }
      expect(look("#{server.url}/health?full=1")).to be_nil
      expect(server.requests.map { |request| [request.verb, request.target] }).to eq([['GET', '/health?full=1']])
    end
  end

  [199, 400, 404, 503].each do |status|
    it "does not accept HTTP #{status}" do
      server = peer { ["HTTP/1.1 #{status} As told", "Content-Length: 0\r\n\r\n"].join("\r\n") }
      expect { look("#{server.url}/health") }
        .to raise_error(DesiredState::NotReady, %r{\A#{server.url}/health was not ready within 0 s; last problem: })
    end
  end

  it 'accepts only the expected statuses' do
    unauthorised = peer { [401, ''] }
    expect(look(unauthorised.url, expect: [401, 403])).to be_nil
    expect { look(peer { [200, ''] }.url, expect: [401, 403]) }.to raise_error(DesiredState::NotReady, /; last problem: HTTP 200\z/)
  end

  it 'retries until the service is ready' do
    answers = [[503, ''], nil, "garbage\r\n\r\n", [200, '']]
    server = peer { answers.shift }
    expect(look(server.url, timeout: 30)).to be_nil
    expect(server.requests.size).to eq(4)
  end

  it 'raises NotReady with the last problem' do
    server = peer { [503, ''] }
    expect { look(server.url, timeout: 0.2) }
      .to raise_error(DesiredState::NotReady, "#{server.url} was not ready within 0.2 s; last problem: HTTP 503")
    expect(server.requests.size).to be > 1
  end

  it 'reports that nothing listens' do
    url = nowhere
    expect { look(url) }.to raise_error(DesiredState::NotReady, /last problem: Errno::ECONNREFUSED/)
    expect { look(url.sub('http', 'tcp')) }.to raise_error(DesiredState::NotReady, /last problem: Errno::ECONNREFUSED/)
  end

  it 'sends one request per attempt' do
    server = peer { nil }
    expect { look(server.url) }.to raise_error(DesiredState::NotReady)
    expect(server.requests.size).to eq(1)
  end

  it 'accepts a TCP port that listens, and sends nothing' do
    server = peer { raise 'asked' }
    expect(look("tcp://127.0.0.1:#{server.port}")).to be_nil
    expect(server.requests).to be_empty
  end

  it 'does not accept a server without TLS for https' do
    expect { look(consul_url.sub('http:', 'https:')) }.to raise_error(DesiredState::NotReady, /OpenSSL::SSL::SSLError/)
  end

  ['web', '/health', 'ftp://web/', 'tcp://web', 'tcp://:80', 'http:web', 'http://a b/', 'unix:///run/x'].each do |url|
    it "refuses #{url}, which it cannot check" do
      expect { described_class.new(url) }.to raise_error(DesiredState::InvalidInput, /\A#{Regexp.escape(url)} is /)
    end
  end
end
