# frozen_string_literal: true

require 'open3'
require 'rbconfig'

RSpec.describe DesiredState::Trigger do
  program = File.expand_path('../../libraries/trigger.rb', __dir__)

  # The command: reads the tier's desired state and notes its generation.
  let(:command) do
    script = File.join(directory, 'command.rb')
    File.write(script, <<~RUBY)
      require 'json'
      require 'net/http'
      desired = Net::HTTP.get(URI('#{consul_url}/v1/kv/#{keys.desired('web')}?raw'))
      is_first = !File.exist?('#{runs_file}')
      File.write('#{runs_file}', "\#{JSON.parse(desired)['generation']}\\n", mode: 'a')
      File.read('#{gate}') if is_first && File.exist?('#{gate}')
    RUBY
    [RbConfig.ruby, '--disable-gems', script]
  end
  let(:runs_file) { File.join(directory, 'runs') }
  let(:gate) { File.join(directory, 'gate') }
  let(:state_dir) { File.join(directory, 'state') }

  # The generations that the command has read, by run.
  def runs
    File.exist?(runs_file) ? File.readlines(runs_file, chomp: true).map(&:to_i) : []
  end

  def settings_file(**given)
    File.join(directory, 'settings.json').tap { |path| File.write(path, JSON.generate(settings_given(**given))) }
  end

  define_method(:arguments) do |given: {}, tiers: %w(web), run: command|
    [RbConfig.ruby, '--disable-gems', program, '--settings', settings_file(**given), *tiers.flat_map { |tier| ['--tier', tier] }, '--', *run]
  end

  # Runs the trigger to its end; returns output and exit code.
  def trigger(env = {}, **options)
    output, status = Open3.capture2e(env, *arguments(**options))
    [output, status.exitstatus]
  end

  def keep(**fields)
    outbox = DesiredState::Outbox.new(kv: kv_at(nowhere), dir: DesiredState.outbox_dir(state_dir))
    outbox.send_report(report_key, report(**fields), keep: true)
  end

  def kept
    Dir[File.join(DesiredState.outbox_dir(state_dir), '*.json')]
  end

  it 'turns ten triggers that come during a run into at most two runs, the last of which reads the newest state' do
    File.mkfifo(gate)
    desire(generation: 1)
    run = arguments
    first = Process.spawn(*run, out: File::NULL)
    wait_until('the first run') { runs == [1] }
    desire(generation: 2)
    others = Array.new(9) { Process.spawn(*run, out: File::NULL) }
    ended = Array.new(8) { Process.wait2(-1) }
    expect(ended.map(&:first)).not_to include(first)
    desire(generation: 3)
    File.write(gate, '')
    left = [first, *others] - ended.map(&:first)
    codes = [*ended, *left.map { |pid| Process.wait2(pid) }].map { |_, status| status.exitstatus }
    expect(codes).to eq([0] * 10)
    expect(runs).to eq([1, 3])
  end

  describe 'the decision' do
    # Runs the trigger in this process; returns the output and whether the command ran.
    def decide(tiers: %w(web), enforce: nil, **given)
      File.delete(runs_file) if File.exist?(runs_file)
      output = StringIO.new
      run = ['touch', runs_file]
      code = described_class.new(
        settings: settings(**given), tiers: tiers, command: run, out: output, delivery: 0, enforce: enforce
      ).run
      raise "exit code #{code}" unless code.zero?

      [output.string, File.exist?(runs_file)]
    end

    let(:skipped) { ["desired_state trigger: nothing to do: every assignment has been reported as succeeded\n", false] }
    let(:ran) { ['', true] }

    before { DesiredState::Machine.remember_boot(state_dir) }

    it 'is to run if the node has not reported its assignment as succeeded' do
      desire
      expect(decide).to eq(ran)
      [
        { status: 'failed' }, { status: 'running' }, { status: 'rebooting' }, { status: 'interrupted' },
        { generation: 41 }, { generation: 43 }, { state: 'off' }, { generation: nil, state: nil }
      ].each do |fields|
        kv.put(report_key, report(**fields).to_json)
        expect([fields, decide]).to eq([fields, ran])
      end
    end

    it 'is not to run if the node has reported its assignment as succeeded' do
      desire
      kv.put(report_key, report.to_json)
      expect(decide).to eq(skipped)
    end

    it 'is to run if the report is about another assignment of the same generation' do
      kv.put(keys.desired('web'), JSON.generate(desired_fields.tap { |fields| fields['stable']['id'] = 'a' * 16 }))
      { 'a' * 16 => skipped, 'b' * 16 => ran, nil => skipped }.each do |id, expected|
        kv.put(report_key, report(id: id).to_json)
        expect([id, decide]).to eq([id, expected])
      end
    end

    it 'is to run if an earlier machine of this name reported and both ids are known' do
      desire
      through = peer do |request|
        agent = [200, JSON.generate('Config' => { 'NodeID' => 'new', 'NodeName' => World::NODE })]
        request.path == '/v1/agent/self' ? agent : Peer.forward(request)
      end
      { 'old' => ran, 'new' => skipped, nil => skipped }.each do |node_id, expected|
        kv.put(report_key, report(node_id: node_id).to_json)
        expect([node_id, decide(consul_url: through.url)]).to eq([node_id, expected])
      end
      kv.put(report_key, report(node_id: 'old').to_json)
      expect(decide).to eq(skipped) # the agent belongs to another node
    end

    it 'is to run once after each boot, since services need not be enabled at boot' do
      desire
      kv.put(report_key, report.to_json)
      File.write(File.join(state_dir, 'boot'), 'of an earlier boot')
      2.times do
        expect(decide).to match([/\Adesired_state trigger: running: no run has succeeded since the machine booted/, true])
      end
      DesiredState::Machine.remember_boot(state_dir)
      expect(decide).to eq(skipped)
    end

    it 'is to run if one of several tiers requires it' do
      desire('web')
      kv.put(report_key('web'), report.to_json)
      desire('db', generation: 7)
      kv.put(report_key('db'), report(tier: 'db', generation: 6).to_json)
      expect(decide(tiers: %w(web db))).to eq(ran)
      kv.put(report_key('db'), report(tier: 'db', generation: 7).to_json)
      expect(decide(tiers: %w(web db))).to eq(skipped)
    end

    it 'is to run when a canary is widened to this node, not when it is widened to others' do
      kv.put(report_key, report.to_json)
      bucket = DesiredState::Bucket.of('43', World::NODE)
      { 0 => skipped, bucket => skipped, bucket + 1 => ran }.each do |threshold, expected|
        desire(canary: canary_fields(threshold: threshold))
        expect([threshold, decide]).to eq([threshold, expected])
      end
      kv.put(report_key, report(generation: 43).to_json)
      expect(decide).to eq(skipped)
      desire(generation: 43) # the canary is promoted
      expect(decide).to eq(skipped)
    end

    it 'is to run if it cannot tell whether that is necessary' do
      desire
      kv.put(report_key, report.to_json)
      refusing = peer { [403, 'Permission denied', {}] }
      said = 'desired_state trigger: running: cannot tell whether it is necessary: '
      expect(decide(consul_url: nowhere)).to match([/\A#{said}Consul at .* is unreachable/, true])
      expect(decide(consul_url: refusing.url)).to match([/\A#{said}Consul at .*Permission denied/, true])
      kv.put(report_key, '{"schema": 2}')
      expect(decide).to match([/\A#{said}#{report_key}: schema 2 is unknown/, true])
      kv.put(report_key, report.to_json)
      kv.put(keys.desired('web'), '{')
      expect(decide).to match([/\A#{said}#{keys.desired('web')}: not JSON/, true])
    end

    it 'is to run if a tier was never declared, since the recipe may have a default' do
      expect(decide).to eq(ran)
      kv.put(report_key, report(generation: 0, source: 'default', status: 'failed').to_json)
      expect(decide).to eq(ran)
    end

    it 'is to run now and then to mend drift, if that is wanted' do
      desire
      kv.put(report_key, report.to_json)
      boot = File.join(state_dir, 'boot')
      File.utime(Time.now - 3600, Time.now - 3600, boot)
      expect(decide).to eq(skipped)
      expect(decide(enforce: 1800.0)).to eq(["desired_state trigger: running: to mend drift, if there is any\n", true])
      FileUtils.touch(boot)
      expect(decide(enforce: 10_000_000_000.0)).to eq(skipped)
    end

    it 'is not to run if a tier that was never declared has converged on its default' do
      kv.put(report_key, report(generation: 0, source: 'default').to_json)
      expect(decide).to eq(skipped)
    end
  end

  describe "a node's moment" do
    # Declares an assignment whose moment for this node is so many seconds away.
    def desire_in(seconds, generation: 42)
      delay = DesiredState::Assignment.new(id: nil, generation: generation, spread_over: 1_000_000).delay_of(World::NODE)
      stable = assignment_fields(generation: generation).merge('spread_over' => (seconds * 1_000_000 / delay).ceil)
      kv.put(keys.desired('web'), JSON.generate(desired_fields(generation: generation).merge('stable' => stable)))
    end

    # Starts a trigger that waits; yields its pid, and returns its output and exit code.
    def wait_in(**given)
      reader, writer = IO.pipe
      pid = Process.spawn(*arguments(given: given), out: writer, err: writer)
      writer.close
      said = reader.gets
      yield pid
      [said + reader.read, Process.wait2(pid).last]
    end

    let(:waiting) { /\Adesired_state trigger: waiting \d+ s for this node's moment to begin with web\n/ }

    it 'is waited for, once' do
      desire_in(1)
      began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      expect(trigger).to match([waiting, 0])
      expect(Process.clock_gettime(Process::CLOCK_MONOTONIC) - began).to be >= 1
      expect(trigger).to eq(['', 0]) # a retry
      expect(runs).to eq([42, 42])
    end

    it 'gives way to a newer assignment that is to begin at once' do
      desire_in(3000)
      output, = wait_in { desire(generation: 43) }
      expect(output).to match(waiting)
      expect(runs).to eq([43])
    end

    it 'passes without a run if the node has converged meanwhile' do
      DesiredState::Machine.remember_boot(state_dir)
      desire_in(3000)
      output, = wait_in do
        kv.put(report_key, report.to_json)
        desire_in(3001)
      end
      expect(output).to match(/#{waiting}.*every assignment has been reported as succeeded/)
      expect(runs).to eq([])
    end

    it 'can be interrupted' do
      desire_in(3000)
      _, status = wait_in { |pid| Process.kill('TERM', pid) }
      expect([status.termsig, runs]).to eq([Signal.list['TERM'], []])
    end

    it 'does not come sooner because Consul goes away' do
      desire_in(3)
      is_away = false
      through = peer { |request| is_away ? [500, 'No cluster leader'] : Peer.forward(request) }
      began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      wait_in(consul_url: through.url) do
        is_away = true
        desire_in(4) # ends the watch
      end
      expect(Process.clock_gettime(Process::CLOCK_MONOTONIC) - began).to be >= 3
      expect(runs).to eq([42])
    end
  end

  {
    'its exit code' => [['sh', '-c', 'exit 35'], 35],
    '128 and the number of the signal that ended it' => [['sh', '-c', 'kill -TERM $$'], 143],
    '127 when it cannot be started' => [['/nowhere/chef-client'], 127],
  }.each do |what, (run, code)|
    it "exits as the command does: with #{what}" do
      expect(trigger(run: run).last).to eq(code)
    end
  end

  it 'passes arguments to the command literally' do
    output, = trigger(run: ['printf', '<%s>', 'a b', '$HOME', '--tier', '*'])
    expect(output).to eq('<a b><$HOME><--tier><*>')
  end

  describe 'the outbox' do
    it 'is emptied if that spares a run' do
      desire
      keep
      DesiredState::Machine.remember_boot(state_dir)
      output, code = trigger
      expect(output).to match(/sent the kept report succeeded.*\n.*every assignment has been reported as succeeded/)
      expect([code, runs, kept]).to eq([0, [], []])
      expect(reported).to eq(report.fields)
    end

    %w(failed interrupted).each do |status|
      it "does not send the report of a run that #{status}, which the next run replaces" do
        desire
        kv.put(report_key, report(status: 'running').to_json)
        keep(status: status)
        seen = File.join(directory, 'seen')
        code = described_class.new(
          settings: settings, tiers: ['web'], out: StringIO.new, delivery: 0,
          command: ['curl', '--silent', '--output', seen, "#{consul_url}/v1/kv/#{report_key}?raw"]
        ).run
        expect(code).to eq(0)
        expect(JSON.parse(File.read(seen))['status']).to eq('running')
        expect(reported['status']).to eq(status) # the command was not Chef
      end
    end

    it 'is emptied in any locale' do
      keep(status: 'failed', error: { 'class' => 'E', 'message' => 'größer ✓', 'resource' => '' })
      trigger({ 'LC_ALL' => 'C', 'LANG' => nil }, run: ['true'])
      expect(reported.dig('error', 'message')).to eq('größer ✓')
    end

    it 'is emptied after the run, as soon as Consul is back' do
      keep
      away = File.join(directory, 'away.json')
      File.rename(kept.first, away)
      looks = Queue.new
      back = peer do |request|
        looks << request if kept.any?
        looks.empty? || looks.size > 1 ? Peer.forward(request) : [500, 'No cluster leader']
      end
      expect(trigger(given: { consul_url: back.url }, run: ['cp', away, kept_path])).to eq(
        ["desired_state: sent the kept report succeeded of run run-1\n", 0]
      )
      expect(reported).to eq(report.fields)
    end

    it 'is left alone after a while if Consul does not come back' do
      keep
      code = described_class.new(
        settings: settings(consul_url: nowhere), tiers: ['web'], command: ['true'], out: StringIO.new, delivery: 0
      ).run
      expect(code).to eq(0)
      expect(kept.size).to eq(1)
    end

    def kept_path
      File.join(DesiredState.outbox_dir(state_dir), 'a.json')
    end
  end

  {
    'no settings' => [['--tier', 'web', '--', 'true'], '--settings'],
    'settings that are not there' => [['--settings', '/nowhere.json', '--tier', 'web', '--', 'true'], '/nowhere.json'],
    'no tier' => [['--settings', 'SETTINGS', '--', 'true'], '--tier'],
    'a tier that is no name' => [['--settings', 'SETTINGS', '--tier', '../web', '--', 'true'], 'tier "../web"'],
    'no command' => [['--settings', 'SETTINGS', '--tier', 'web'], 'COMMAND'],
    'an unknown option' => [['--settings', 'SETTINGS', '--tiers-of-joy', '--', 'true'], 'tiers-of-joy'],
  }.each do |what, (given, words)|
    it "exits 43 with a message for #{what}, and runs nothing" do
      given = given.map { |argument| argument == 'SETTINGS' ? settings_file : argument }
      _, errors, status = Open3.capture3(RbConfig.ruby, '--disable-gems', program, *given)
      expect(status.exitstatus).to eq(43)
      expect(errors).to match(/\Adesired_state trigger: .*#{Regexp.escape(words)}/)
    end
  end

  it 'exits 43 without a directory for its locks' do
    output, code = trigger(given: { state_dir: nil })
    expect(code).to eq(43)
    expect(output).to match(/\Adesired_state trigger: the setting state_dir is missing/)
  end

  it 'creates lock files that only their owner can open' do
    trigger(run: ['true'])
    expect(File.stat(state_dir).mode & 0o777).to eq(0o700)
    expect(Dir[File.join(state_dir, 'trigger.*')].map { |path| File.stat(path).mode & 0o777 }).to eq([0o600] * 2)
  end
end
