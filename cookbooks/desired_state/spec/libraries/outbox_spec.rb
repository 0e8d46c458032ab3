# frozen_string_literal: true

RSpec.describe DesiredState::Outbox do
  let(:outbox_dir) { File.join(directory, 'outbox') }
  let(:outbox) { outbox_at(consul_url) }

  def outbox_at(url)
    described_class.new(kv: kv_at(url), dir: outbox_dir, logger: log)
  end

  # Puts a report on disk, as a run does while Consul is unavailable.
  def keep(**fields)
    outbox_at(nowhere).send_report(report_key, report(**fields), keep: true)
    log.lines.clear
  end

  def kept
    Dir[File.join(outbox_dir, '*')]
  end

  describe '#send_report' do
    it 'sends the report and keeps nothing' do
      expect(outbox.send_report(report_key, report, keep: true)).to be(true)
      expect(reported).to eq(report.fields)
      expect(kept).to be_empty
    end

    it 'keeps the report while Consul is unavailable, readable only by its owner' do
      expect(outbox_at(nowhere).send_report(report_key, report(status: 'failed'), keep: true)).to be(false)
      expect(kept.size).to eq(1)
      expect(JSON.parse(File.read(kept.first))).to eq('key' => report_key, 'report' => report(status: 'failed').fields)
      expect(File.stat(kept.first).mode & 0o777).to eq(0o600)
      expect(log.lines).to contain_exactly(/\Aerror: .*could not report failed, kept for the next run: Consul at/)
    end

    it 'keeps only the last report for each key' do
      away = outbox_at(nowhere)
      %w(failed succeeded).each { |status| away.send_report(report_key, report(status: status), keep: true) }
      away.send_report(report_key('db'), report(tier: 'db'), keep: true)
      expect(kept.map { |path| JSON.parse(File.read(path))['report'].values_at('tier', 'status') })
        .to contain_exactly(%w(web succeeded), %w(db succeeded))
    end

    it 'keeps nothing without keep, and drops an older report' do
      keep(status: 'failed')
      outbox_at(nowhere).send_report(report_key, report(status: 'running'), keep: false)
      expect(kept).to be_empty
      expect(log.lines).to contain_exactly(/\Aerror: .*could not report running of web: DesiredState::ConsulUnavailable/)
    end

    it 'keeps nothing if Consul refuses, since it would refuse again' do
      refusing = peer { [403, 'Permission denied', {}] }
      expect(outbox_at(refusing.url).send_report(report_key, report, keep: true)).to be(false)
      expect(kept).to be_empty
      expect(log.lines).to contain_exactly(/\Aerror: .*DesiredState::AccessDenied: .*Permission denied/)
    end

    it 'sends once, and waits two seconds at most' do
      troubled = peer { [500, 'No cluster leader'] }
      outbox_at(troubled.url).send_report(report_key, report, keep: true)
      expect(troubled.requests.size).to eq(1)
      expect(described_class::TIMEOUT).to be <= 2
    end

    it 'does not raise if the report cannot be kept either' do
      File.write(outbox_dir, 'not a directory')
      expect(outbox_at(nowhere).send_report(report_key, report, keep: true)).to be(false)
      expect(log.lines).to contain_exactly(/\Aerror: .*could not report succeeded of web: Errno::/)
    end

    it 'does not raise if the report cannot be written as JSON' do
      expect(outbox.send_report(report_key, report(client: "\xff"), keep: true)).to be(false)
      expect(log.lines).to contain_exactly(/\Aerror: .*could not report succeeded of web: JSON::GeneratorError/)
    end

    it 'leaves nothing behind on a full disk' do
      FileUtils.mkdir_p(outbox_dir)
      kept_before = report(status: 'failed')
      outbox_at(nowhere).send_report(report_key('db'), kept_before, keep: true)
      child = fork do
        trap('XFSZ', 'IGNORE')
        Process.setrlimit(:FSIZE, 40) # no file can exceed 40 bytes, as on a full disk
        outbox_at(nowhere).send_report(report_key, report, keep: true)
        exit!(log.lines.last.match?(/could not report succeeded of web: Errno::EFBIG/) ? 0 : 1)
      end
      expect(Process.wait2(child).last.exitstatus).to eq(0)
      expect(kept.map { |path| File.basename(path) }).to contain_exactly(/\+db\+.*\.json\z/)
    end

    it 'keeps the outcome of a run with an assignment rather than that of a later run that could read none' do
      away = outbox_at(nowhere)
      away.send_report(report_key, report(status: 'failed'), keep: true)
      away.send_report(report_key, report(status: 'failed', generation: nil, state: nil, run_id: 'run-2'), keep: true)
      expect(JSON.parse(File.read(kept.first))['report']).to include('generation' => 42, 'run_id' => 'run-1')
      away.send_report(report_key, report(generation: 43, run_id: 'run-3'), keep: true)
      expect(JSON.parse(File.read(kept.first))['report']).to include('generation' => 43, 'run_id' => 'run-3')
    end

    it 'logs that a report is lost if it has no directory' do
      nothing_kept = described_class.new(kv: kv_at(nowhere), dir: nil, logger: log)
      expect(nothing_kept.send_report(report_key, report, keep: true)).to be(false)
      expect(log.lines).to contain_exactly(/\Aerror: .*could not report succeeded of web/)
      expect(nothing_kept.flush).to eq(0)
    end

    it 'needs no logger' do
      quiet = described_class.new(kv: kv_at(nowhere), dir: outbox_dir)
      expect(quiet.send_report(report_key, report, keep: true)).to be(false)
      expect(quiet.send_report(report_key, report, keep: false)).to be(false)
    end
  end

  describe '#last_report' do
    it 'is nil if nothing was reported' do
      expect(outbox.last_report(report_key)).to be_nil
    end

    it "is Consul's if none is kept" do
      kv.put(report_key, report.to_json)
      expect(outbox.last_report(report_key).fields).to eq(report.fields)
    end

    it 'is the kept one if Consul has none, an older one or an unreadable one' do
      keep(status: 'failed')
      expect(outbox.last_report(report_key)['status']).to eq('failed')
      [report(started_at: '2026-11-22T07:00:00Z').to_json, '{'].each do |text|
        kv.put(report_key, text)
        expect(outbox.last_report(report_key)['status']).to eq('failed')
      end
      expect(outbox_at(nowhere).last_report(report_key)['status']).to eq('failed')
      expect(kept.size).to eq(1)
    end

    it "is Consul's if the kept one is older or unreadable" do
      keep(status: 'failed')
      kv.put(report_key, report(started_at: '2026-11-22T09:00:00Z').to_json)
      expect(outbox.last_report(report_key)['status']).to eq('succeeded')
      kv.put(report_key, report(started_at: '2026-11-22T07:00:00Z').to_json)
      File.write(kept.first, '{')
      expect(outbox.last_report(report_key)['status']).to eq('succeeded')
    end

    it 'raises if neither Consul nor the disk has a readable one' do
      expect { outbox_at(nowhere).last_report(report_key) }.to raise_error(DesiredState::ConsulUnavailable)
      kv.put(report_key, '{')
      expect { outbox.last_report(report_key) }.to raise_error(DesiredState::MalformedDocument)
    end
  end

  describe '#flush' do
    it 'sends a kept report once' do
      keep(status: 'failed', error: { 'class' => 'E', 'message' => 'größer ✓', 'resource' => '' })
      expect(outbox.flush).to eq(0)
      expect(reported).to include('status' => 'failed', 'error' => a_hash_including('message' => 'größer ✓'))
      expect(kept).to be_empty
      expect(log.lines).to contain_exactly(/\Ainfo: .*sent the kept report failed of run run-1/)
      expect(outbox.flush).to eq(0)
    end

    it 'keeps the report while Consul is unavailable' do
      keep
      expect(outbox_at(nowhere).flush).to eq(1)
      expect(kept.size).to eq(1)
    end

    it 'finds kept reports in a directory whose path is no pattern, such as one with backslashes' do
      odd = File.join(directory, 'C:\\chef\\cache', '[desired]')
      described_class.new(kv: kv_at(nowhere), dir: odd).send_report(report_key, report(status: 'failed'), keep: true)
      expect(described_class.new(kv: kv, dir: odd).flush).to eq(0)
      expect(reported).to include('status' => 'failed')
      expect(Dir.children(odd)).to be_empty
    end

    it 'does nothing if nothing was ever kept' do
      expect(outbox.flush).to eq(0)
    end

    it 'fills in previous_status if the run began while Consul was unavailable' do
      kv.put(report_key, report(status: 'failed', run_id: 'run-0').to_json)
      keep(status: 'interrupted', run_id: 'run-1', started_at: '2030-01-01T00:00:00Z')
      expect(outbox.flush).to eq(0)
      expect(reported).to include('status' => 'interrupted', 'run_id' => 'run-1', 'previous_status' => 'failed')
    end

    it "replaces the same run's running" do
      kv.put(report_key, report(status: 'running').to_json)
      keep(status: 'succeeded')
      outbox.flush
      expect(reported['status']).to eq('succeeded')
    end

    it "replaces an older run's report and a malformed one" do
      [report(run_id: 'run-0', status: 'failed', started_at: '2026-11-22T07:00:00Z').to_json, '{"schema": 1}'].each do |text|
        kv.put(report_key, text)
        keep
        expect(outbox.flush).to eq(0)
        expect(reported.except('previous_status')).to eq(report.fields.except('previous_status'))
      end
    end

    it "never replaces a newer run's report" do
      newer = report(run_id: 'run-2', status: 'running', started_at: '2026-11-22T09:00:00Z')
      keep
      kv.put(report_key, newer.to_json)
      expect(outbox.flush).to eq(0)
      expect(reported).to eq(newer.fields)
      expect(kept).to be_empty
      expect(log.lines).to contain_exactly(/\Ainfo: .*dropped, since there is a newer one/)
    end

    it 'yields to a run that reports between its read and its write' do
      newer = report(run_id: 'run-2', status: 'running')
      between = peer do |request|
        Peer.forward(request).tap { kv.put(report_key, newer.to_json) if request.verb == 'GET' }
      end
      keep
      expect(outbox_at(between.url).flush).to eq(0)
      expect(between.writes.size).to eq(1)
      expect(reported).to eq(newer.fields)
      expect(kept).to be_empty
    end

    it 'yields to a run that drops the kept report in between' do
      between = peer { |request| Peer.forward(request).tap { kept.each { |path| File.delete(path) } } }
      keep
      expect(outbox_at(between.url).flush).to eq(0)
      expect(between.writes).to be_empty
      expect(reported).to be_nil
    end

    ['', 'garbage', '[]', '{}', '{"key": "x", "report": {"schema": 1}}', "{\"key\": \"\xff\"}"].each do |content|
      it "drops a file that holds #{content.inspect}, and continues" do
        keep
        File.write(File.join(outbox_dir, 'a.json'), content)
        expect(outbox.flush).to eq(0)
        expect(kept).to be_empty
        expect(reported).to eq(report.fields)
        expect(log.lines).to include(/\Aerror: .*dropped the kept report .*a\.json: /)
      end
    end

    it 'drops a report that Consul refuses' do
      refusing = peer { [403, 'Permission denied', {}] }
      keep
      expect(outbox_at(refusing.url).flush).to eq(0)
      expect(kept).to be_empty
      expect(log.lines).to contain_exactly(/\Aerror: .*dropped the kept report .*: DesiredState::AccessDenied/)
    end

    it "does not touch another process's unfinished file" do
      FileUtils.mkdir_p(outbox_dir)
      half = File.join(outbox_dir, 'x.json.4711')
      File.write(half, '{"ke')
      expect(outbox.flush).to eq(0)
      expect(kept).to eq([half])
    end
  end
end
