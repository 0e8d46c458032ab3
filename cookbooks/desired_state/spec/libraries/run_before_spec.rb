# frozen_string_literal: true

RSpec.describe DesiredState::RunBefore do
  let(:about) { DesiredState::Assignment.new(generation: 42, state: 'converged', values: {}, id: nil) }

  def before(url: consul_url)
    settings = settings(consul_url: url)
    outbox = DesiredState::Outbox.new(kv: settings.kv, dir: nil)
    described_class.new(settings: settings, outbox: outbox, run_id: 'run-7')
  end

  it "is what the node reported before this run's first report" do
    kv.put(report_key, report.to_json)
    first = before
    expect(first.converged_on?('web', about)).to be(true)
    kv.put(report_key, report(status: 'waiting', generation: 43, run_id: 'run-7').to_json)
    expect(first.converged_on?('web', about)).to be(true)
    expect(before.converged_on?('web', about)).to be(false)
  end

  it 'has converged only on the very assignment' do
    { { generation: 41 } => false, { status: 'failed' } => false, { status: 'waiting' } => false, {} => true }.each do |fields, expected|
      kv.put(report_key, report(**fields).to_json)
      expect([fields, before.converged_on?('web', about)]).to eq([fields, expected])
    end
    kv.put(report_key, '{')
    expect(before.converged_on?('web', about)).to be(false)
  end

  it 'is remembered while Consul is away, until the next run begins' do
    away = before(url: nowhere)
    expect(away.converged_on?('web', about)).to be(false)
    before.remember(report)
    expect(away.converged_on?('web', about)).to be(true)
    File.write(Dir[File.join(directory, 'state', 'succeeded', '*')].first, 'spoilt')
    expect(away.converged_on?('web', about)).to be(false)
    before.remember(report)
    before.forget('web')
    expect(away.converged_on?('web', about)).to be(false)
  end

  it 'does not count a run that only waited' do
    ['failed', 'succeeded', nil].each do |status|
      kv.put(report_key, report(status: 'waiting', previous_status: status).to_json)
      expect(before.status('web', about)).to eq(status)
    end
  end
end
