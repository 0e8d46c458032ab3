# frozen_string_literal: true

require 'json'
require 'net/http'
require 'rbconfig'
require 'socket'

# The service as a process on a free port.
RSpec.describe 'serve.rb' do
  let(:port) { TCPServer.open('127.0.0.1', 0) { |server| server.addr[1] } }
  let(:config) { { 'tier' => 'web', 'release' => '2.5.0', 'mode' => 'serving', 'port' => port } }

  before do
    path = File.join(@directory, 'config.json')
    File.write(path, JSON.generate(config))
    serve = File.expand_path('../../files/serve.rb', __dir__)
    @pid = Process.spawn(RbConfig.ruby, serve, path, err: File.join(@directory, 'log'))
    eventually { listening? }
  end

  after do
    Process.kill('KILL', @pid)
    Process.wait(@pid)
  rescue Errno::ESRCH, Errno::ECHILD
    nil # it has ended already
  end

  def listening?
    raise File.read(File.join(@directory, 'log')) if Process.wait(@pid, Process::WNOHANG)

    TCPSocket.open('127.0.0.1', port, &:close)
    true
  rescue Errno::ECONNREFUSED
    false
  end

  def get
    Net::HTTP.new('127.0.0.1', port, nil).get('/any/path')
  end

  it 'answers 200 with its release, repeatedly' do
    2.times do
      answer = get
      expect([answer.code, answer.body]).to eq ['200', "web serves release 2.5.0\n"]
    end
  end

  it 'survives a client that hangs up' do
    TCPSocket.open('127.0.0.1', port, &:close)
    expect(get.code).to eq '200'
  end

  it 'exits on TERM' do
    Process.kill('TERM', @pid)
    _, status = Process.wait2(@pid)
    expect(status).to be_success
  end

  context 'when it waits' do
    let(:config) { super().merge('mode' => 'waiting') }

    it 'answers 503 with its release' do
      answer = get
      expect([answer.code, answer.body]).to eq ['503', "web waits at release 2.5.0\n"]
    end
  end

  context 'with a schema' do
    let(:schema) { File.join(@directory, 'schema.json') }
    let(:config) { super().merge('tier' => 'db', 'schema' => schema) }

    it 'shows the current release of the schema' do
      File.write(schema, JSON.generate('release' => '2.4.0'))
      expect(get.body).to eq "db serves release 2.5.0\nschema of release 2.4.0\n"
      File.write(schema, JSON.generate('release' => '2.5.0'))
      expect(get.body).to include 'schema of release 2.5.0'
    end

    it 'answers nothing without the schema' do
      expect { get }.to raise_error(EOFError)
    end
  end
end
