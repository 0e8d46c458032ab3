# frozen_string_literal: true

RSpec.describe DesiredState::EarlyFailure do
  let(:node_class) { Struct.new(:run_state) }
  let(:run_status_class) { Struct.new(:node, :start_time, :run_id) }
  let(:error) { ArgumentError.new('no such cookbook') }

  def report(path = settings_file, error: self.error, run_status: nil, logger: log)
    described_class.report(path, error, run_status, client: 'chef 18.5.0', logger: logger)
  end

  def settings_file(**given)
    File.join(directory, 'settings.json').tap { |path| File.write(path, JSON.generate(settings_given(**given))) }
  end

  it "reports the run under the node's key, outside any tier" do
    started = Time.new(2026, 11, 22, 10, 0, 0, '+02:00')
    expect(report(run_status: run_status_class.new(nil, started, 'run-7'))).to be(true)
    expect(stored(keys.early_failure(World::NODE))).to match(
      'schema' => 1, 'node' => World::NODE, 'status' => 'failed', 'run_id' => 'run-7', 'client' => 'chef 18.5.0',
      'started_at' => '2026-11-22T08:00:00Z', 'finished_at' => /\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/,
      'error' => { 'class' => 'ArgumentError', 'message' => 'no such cookbook', 'resource' => '' }
    )
    expect(started.hour).to eq(10)
    expect(log.lines).to be_empty
  end

  it 'reports a run that had not even begun' do
    [nil, run_status_class.new(nil, nil, nil)].each do |run_status|
      expect(report(run_status: run_status)).to be(true)
      found = stored(keys.early_failure(World::NODE))
      expect(found['run_id']).to match(/\A\h{8}-/)
      expect(found['started_at']).to eq(found['finished_at'])
    end
  end

  it 'reports an error that is not a StandardError' do
    expect(report(error: SyntaxError.new('unexpected end'))).to be(true)
    expect(stored(keys.early_failure(World::NODE))['error']['class']).to eq('SyntaxError')
  end

  it 'does not report a run that was cut off from outside' do
    [SystemExit.new(2), SystemExit.new(3), Interrupt.new, SignalException.new('SIGTERM')].each do |interruption|
      expect(report(error: interruption)).to be(false)
    end
    expect(stored(keys.early_failure(World::NODE))).to be_nil
    expect(report(error: SystemExit.new(1))).to be(true)
  end

  it 'does not raise if Consul is unavailable, and keeps nothing' do
    expect(report(settings_file(consul_url: nowhere))).to be(false)
    expect(log.lines).to contain_exactly(/\Aerror: .*could not report failed of the run: DesiredState::ConsulUnavailable/)
    expect(Dir[File.join(directory, 'state', '**', '*')]).to be_empty
  end

  it 'does not raise if Consul refuses' do
    refusing = peer { [403, 'Permission denied', {}] }
    expect(report(settings_file(consul_url: refusing.url))).to be(false)
    expect(log.lines).to contain_exactly(/AccessDenied/)
  end

  { 'missing' => nil, 'garbage' => '{', 'of another form' => '[]', 'incomplete' => '{}' }.each do |what, content|
    it "does not raise if the settings are #{what}" do
      path = File.join(directory, 'settings.json')
      File.write(path, content) if content
      expect(report(path)).to be(false)
      expect(log.lines).to contain_exactly(/\Aerror: .*could not report the failed run: DesiredState::InvalidInput/)
      expect(report(path, logger: nil)).to be(false)
    end
  end

  it "learns from the node's run state whether a recipe's reporter reports the run" do
    expect(described_class.reported?(nil)).to be_falsey
    expect(described_class.reported?(run_status_class.new(nil))).to be_falsey
    expect(described_class.reported?(run_status_class.new(node_class.new({})))).to be_falsey
    expect(described_class.reported?(run_status_class.new(node_class.new({ desired_state: Struct.new(:reports?).new(true) })))).to be(true)
  end
end
