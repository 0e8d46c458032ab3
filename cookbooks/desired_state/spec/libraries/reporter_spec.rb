# frozen_string_literal: true

RSpec.describe DesiredState::Reporter do
  let(:resource_class) do
    Struct.new(:name, :ignore_failure) do
      def to_s
        name
      end
    end
  end
  let(:run_status_class) { Struct.new(:run_context) }
  let(:run_context_class) { Struct.new(:reboot_requested?) }
  let(:consul) { peer { |request| request.verb == 'PUT' ? [200, 'true'] : [404, ''] } }
  let(:snapshots) { {} }
  let(:times) { [Time.utc(2026, 11, 22, 8, 0, 1), Time.utc(2026, 11, 22, 8, 0, 9)] }
  let(:reporter) { make }

  def make(url: consul.url, outbox: outbox_at(url), settings: settings(consul_url: url), **options)
    run = { settings: settings, run_id: 'run-7', logger: log, interruption: DesiredState::Interruption.new }
    before = outbox && DesiredState::RunBefore.new(settings: settings, outbox: outbox, run_id: 'run-7')
    slots = outbox && DesiredState::Slots.new(reader: nil, before: before, **run)
    described_class.new(
      snapshots: snapshots, outbox: outbox, before: before, slots: slots, client: 'chef 18.5.0',
      clock: -> { times.size > 1 ? times.shift : times.first }, **run, **options
    )
  end

  def outbox_at(url)
    DesiredState::Outbox.new(kv: kv_at(url), dir: File.join(directory, 'outbox'), logger: log)
  end

  def resource(name, ignore_failure: false)
    resource_class.new(name, ignore_failure)
  end

  # As ChefRun does for a recipe.
  def read(tier, generation: 42, state: 'converged', source: 'consul', id: nil)
    reporter.begin_tier(tier)
    assignment = DesiredState::Assignment.new(generation: generation, state: state, values: {}, id: id)
    snapshots[tier] = DesiredState::Snapshot.new(tier: tier, assignment: assignment, source: source)
    reporter.running(tier)
  end

  # The reports that Consul got, in order; all are valid in both languages.
  def sent
    consul.writes.map { |request| DesiredState::Report.parse(request.path, request.body).fields }
  end

  # As Chef raises the errors that ended the converge phase.
  def wrapped(*errors)
    Class.new(StandardError) { attr_accessor :wrapped_errors }.new("Found #{errors.size} errors").tap do |error|
      error.wrapped_errors = errors
    end
  end

  # As Chef extends the message of an exception that a resource raises.
  def customised(resource, error)
    error.exception("#{resource} (web::default line 7) had an error: #{error.class}: #{error.message}")
  end

  it "reports running first and the outcome last, under the node's key" do
    read('web', id: '0123456789abcdef')
    2.times { reporter.resource_updated(resource('file[/a]'), :create) }
    reporter.converge_complete
    reporter.run_completed(Object.new, run_status_class.new(run_context_class.new(false)))
    both = {
      'schema' => 1, 'node' => World::NODE, 'tier' => 'web', 'generation' => 42, 'state' => 'converged', 'run_id' => 'run-7',
      'started_at' => '2026-11-22T08:00:01Z', 'source' => 'consul', 'client' => 'chef 18.5.0', 'error' => nil,
      'id' => '0123456789abcdef', 'node_id' => nil, 'previous_status' => nil
    }
    expect(sent).to eq(
      [
        both.merge('status' => 'running', 'finished_at' => nil, 'updated_resources' => 0),
        both.merge('status' => 'succeeded', 'finished_at' => '2026-11-22T08:00:09Z', 'updated_resources' => 2),
      ]
    )
    expect(consul.writes.map(&:target).uniq).to eq(["/v1/kv/#{report_key}"])
  end

  it 'reports every tier that the run has read, with its assignment' do
    read('web', generation: 42)
    read('db', generation: 7, state: 'off', source: 'cache')
    reporter.converge_complete
    reporter.run_completed(nil)
    expect(sent.map { |fields| fields.values_at('tier', 'generation', 'state', 'source', 'status') }).to eq(
      [
        ['web', 42, 'converged', 'consul', 'running'], ['db', 7, 'off', 'cache', 'running'],
        ['web', 42, 'converged', 'consul', 'succeeded'], ['db', 7, 'off', 'cache', 'succeeded']
      ]
    )
  end

  it 'reports a tier once, however often it is begun' do
    2.times { reporter.begin_tier('web') }
    reporter.converge_complete
    reporter.run_completed(nil)
    expect(sent.size).to eq(1)
  end

  it 'reports nothing when no tier was read' do
    reporter.converge_complete
    reporter.run_completed(nil)
    reporter.run_failed(RuntimeError.new('x'))
    expect(consul.requests).to be_empty
  end

  it 'claims no generation for a tier that could not be read' do
    reporter.begin_tier('web')
    reporter.run_failed(DesiredState::MalformedDocument.new('the/key', 'not JSON'))
    expect(sent).to contain_exactly(
      a_hash_including(
        'status' => 'failed', 'generation' => nil, 'state' => nil,
        'error' => { 'class' => 'DesiredState::MalformedDocument', 'message' => 'the/key: not JSON', 'resource' => '' }
      )
    )
  end

  describe 'the error of a failed run' do
    before { read('web') }

    let(:error) { sent.last.fetch('error') }

    it "is that of the innermost nested resource, without Chef's additions" do
      inner = IOError.new('the disk is full')
      file = resource('file[/a]')
      outer = customised(file, inner)
      reporter.resource_failed(file, :create, inner)
      reporter.resource_failed(resource('shop[web]'), :run, outer)
      reporter.run_failed(wrapped(customised('shop[web]', outer)))
      expect(error).to eq('class' => 'IOError', 'message' => 'the disk is full', 'resource' => 'file[/a]')
    end

    it 'is the first of the errors that Chef wrapped' do
      reporter.run_failed(wrapped(ArgumentError.new('first'), IOError.new('second')))
      expect(error).to include('class' => 'ArgumentError', 'message' => 'first')
    end

    it 'is the wrapper itself if it contains no error' do
      reporter.run_failed(wrapped)
      expect(error['message']).to eq('Found 0 errors')
    end

    it 'blames no resource whose failure was ignored' do
      reporter.resource_failed(resource('execute[a]', ignore_failure: true), :run, IOError.new('boom'))
      reporter.run_failed(RuntimeError.new('afterwards: boom'))
      expect(error).to include('message' => 'afterwards: boom', 'resource' => '')
    end

    it 'blames no resource nested in one whose failure was ignored' do
      reporter.resource_failed(resource('file[/a]'), :create, IOError.new('boom'))
      reporter.resource_failed(resource('shop[web]', ignore_failure: true), :run, IOError.new('boom'))
      reporter.run_failed(RuntimeError.new('afterwards: boom'))
      expect(error).to include('message' => 'afterwards: boom', 'resource' => '')
    end

    it 'blames the resource that ended the run, not one whose failure was rescued' do
      reporter.resource_failed(resource('file[/rescued]'), :create, IOError.new('tried in vain'))
      last = resource('file[/b]')
      reporter.resource_failed(last, :create, IOError.new('the disk is full'))
      reporter.run_failed(wrapped(customised(last, IOError.new('the disk is full'))))
      expect(error).to include('message' => 'the disk is full', 'resource' => 'file[/b]')
    end

    it 'names the recipe that did not compile' do
      broken = ArgumentError.new('boom at compile')
      reporter.recipe_file_load_failed('/cookbooks/web/recipes/default.rb', broken, 'web::default')
      reporter.run_failed(broken)
      expect(error).to eq('class' => 'ArgumentError', 'message' => 'boom at compile',
                          'resource' => 'recipe /cookbooks/web/recipes/default.rb')
    end

    it 'is short and valid JSON, whatever the message contains' do
      reporter.run_failed(RuntimeError.new("\xff#{'x' * 5000}"))
      expect(error['message']).to eq("�#{'x' * 1999}")
    end

    it 'is reported with the generation that the run compiled and the number of updated resources' do
      reporter.resource_updated(resource('file[/a]'), :create)
      reporter.run_failed(RuntimeError.new('x'))
      expect(sent.last).to include('status' => 'failed', 'generation' => 42, 'state' => 'converged',
                                   'updated_resources' => 1, 'finished_at' => '2026-11-22T08:00:09Z')
    end
  end

  it 'reports a run that ends with a reboot as rebooting, not as failed' do
    stub_const('Chef::Exceptions::Reboot', Class.new(StandardError))
    read('web')
    reporter.converge_complete
    reporter.run_completed(nil, run_status_class.new(run_context_class.new(true)))
    reporter.run_failed(Chef::Exceptions::Reboot.new('rebooting now'), nil)
    expect(sent.map { |fields| fields['status'] }).to eq(%w(running rebooting))
  end

  it 'does not report a why-run' do
    reporter = make(outbox: nil)
    reporter.begin_tier('web')
    reporter.running('web')
    reporter.converge_complete
    reporter.run_completed(nil)
    reporter.run_failed(RuntimeError.new('x'))
    expect(consul.requests).to be_empty
    expect(log.lines).to be_empty
  end

  describe 'the outcome of the run before' do
    # The last report that a run on generation 42, id a…, sends to the real Consul.
    def run_after(*reports, kept: nil, node_id: nil)
      reports.each { |before| kv.put(report_key, before.to_json) }
      outbox_at(nowhere).send_report(report_key, kept, keep: true) if kept
      through = peer do |request|
        agent = [200, JSON.generate('Config' => { 'NodeID' => node_id, 'NodeName' => World::NODE })]
        request.path == '/v1/agent/self' ? agent : Peer.forward(request)
      end
      @reporter = make(url: through.url, settings: settings(consul_url: through.url))
      @reporter.begin_tier('web')
      assignment = DesiredState::Assignment.new(generation: 42, state: 'converged', values: {}, id: 'a' * 16)
      snapshots['web'] = DesiredState::Snapshot.new(tier: 'web', assignment: assignment, source: 'consul')
      @reporter.running('web')
      reported
    end

    before { log.lines.clear }

    it 'is in the first report and in the last' do
      first = run_after(report(status: 'failed', id: 'a' * 16))
      expect(first).to include('status' => 'running', 'previous_status' => 'failed')
      @reporter.run_failed(RuntimeError.new('again'))
      expect(reported).to include('status' => 'failed', 'previous_status' => 'failed')
    end

    it 'is nil if there is no report, if it is about another assignment, and if it cannot be read' do
      expect(run_after['previous_status']).to be_nil
      expect(run_after(report(status: 'failed', generation: 41))['previous_status']).to be_nil
      expect(run_after(report(status: 'failed', id: 'b' * 16))['previous_status']).to be_nil
      kv.put(report_key, '{')
      expect(run_after['previous_status']).to be_nil
      expect(log.lines).to contain_exactly(/\Aerror: .*could not read the report of the run before: .*not JSON/)
    end

    it 'is the kept one if that is newer; it is not sent first' do
      standing = report(status: 'running', run_id: 'run-1')
      first = run_after(standing, kept: report(status: 'failed', run_id: 'run-1'))
      expect(first).to include('status' => 'running', 'run_id' => 'run-7', 'previous_status' => 'failed')
      expect(@peers.last.writes.size).to eq(1)
      expect(outbox_at(consul_url).flush).to eq(0)
      expect(reported).to eq(first)
    end

    it 'is not taken from an earlier machine of the same name' do
      expect(run_after(report(status: 'failed', node_id: 'old'), node_id: 'new'))
        .to include('node_id' => 'new', 'previous_status' => nil)
      expect(run_after(report(status: 'failed', node_id: 'new'), node_id: 'new'))
        .to include('node_id' => 'new', 'previous_status' => 'failed')
    end
  end

  it 'reports that it waits for a slot, which is no outcome' do
    reporter.begin_tier('web')
    assignment = DesiredState::Assignment.new(generation: 42, state: 'converged', values: {}, id: nil, max_parallel: 1)
    snapshots['web'] = DesiredState::Snapshot.new(tier: 'web', assignment: assignment, source: 'consul')
    waits_for = { 'slot' => %w(web-2), 'of' => 1, 'ahead' => 1 }
    reporter.waiting('web', waits_for)
    expect(sent.last).to include('status' => 'waiting', 'generation' => 42, 'finished_at' => nil, 'waits_for' => waits_for)
    consul.answer = ->(_) { [500, 'No cluster leader'] }
    reporter.waiting('web', waits_for)
    expect(outbox_at(consul_url).flush).to eq(0)
    expect(reported).to be_nil
  end

  describe 'with slots' do
    let(:through) { peer { |request| Peer.forward(request) } }
    let(:reporter) { make(url: through.url, settings: settings(consul_url: through.url)) }

    before do
      ticket = { 'schema' => 1, 'node' => World::NODE, 'run_id' => 'of before', 'generation' => 42, 'group' => '', 'ttl' => 120,
                 'since' => 'x', 'held_since' => 'x', 'failed' => true }
      kv.put(keys.ticket('web', World::NODE), JSON.generate(ticket))
      read('web')
    end

    it 'gives the slot back after the outcome was reported' do
      reporter.converge_complete
      reporter.run_completed(nil)
      changes = through.requests.reject { |request| request.verb == 'GET' }.last(2)
      expect(changes.map { |request| [request.verb, request.path] }).to eq(
        [['PUT', "/v1/kv/#{report_key}"], ['DELETE', "/v1/kv/#{keys.ticket('web', World::NODE)}"]]
      )
    end

    it 'keeps the slot if the outcome could not be reported' do
      through.answer = ->(request) { request.verb == 'PUT' ? [500, 'No cluster leader'] : Peer.forward(request) }
      reporter.converge_complete
      reporter.run_completed(nil)
      expect(kv.get(keys.ticket('web', World::NODE))).not_to be_nil
    end
  end

  describe 'drift' do
    def mended_by(before, updated:, status: :succeed)
      kv.put(report_key, before.to_json)
      reporter = make(url: consul_url)
      reporter.begin_tier('web')
      assignment = DesiredState::Assignment.new(generation: 42, state: 'converged', values: {}, id: nil)
      snapshots['web'] = DesiredState::Snapshot.new(tier: 'web', assignment: assignment, source: 'consul')
      reporter.running('web')
      updated.times { reporter.resource_updated(nil, nil) }
      reporter.converge_complete
      status == :succeed ? reporter.run_completed(nil) : reporter.run_failed(RuntimeError.new('x'))
      reported['mended']
    end

    let(:twice) { { 'on' => '2026-11-22', 'runs' => 2, 'resources' => 4 } }

    it 'is what a run updates that finds the node converged; it adds up for a day' do
      expect(mended_by(report, updated: 3)).to eq('on' => '2026-11-22', 'runs' => 1, 'resources' => 3)
      expect(mended_by(report(mended: twice), updated: 3)).to eq('on' => '2026-11-22', 'runs' => 3, 'resources' => 7)
      expect(mended_by(report(mended: twice.merge('on' => '2026-11-21')), updated: 3)).to include('runs' => 1, 'resources' => 3)
    end

    it 'is kept by runs that mend nothing, until the day is over' do
      expect(mended_by(report(mended: twice), updated: 0)).to eq(twice)
      expect(mended_by(report(mended: twice, generation: 41), updated: 9)).to eq(twice)
      expect(mended_by(report(mended: twice), updated: 9, status: :fail)).to eq(twice)
      expect(mended_by(report(mended: twice.merge('on' => '2026-11-21')), updated: 0)).to be_nil
    end

    it 'is not what a run updates that brings the node to its assignment' do
      expect(mended_by(report(generation: 41), updated: 9)).to be_nil
      expect(mended_by(report(status: 'failed'), updated: 9)).to be_nil
    end
  end

  it 'records that a run has succeeded since the machine booted' do
    expect(DesiredState::Machine.booted?(settings.state_dir)).to be(true)
    read('web')
    reporter.run_failed(RuntimeError.new('x'))
    expect(DesiredState::Machine.booted?(settings.state_dir)).to be(true)
    reporter.converge_complete
    reporter.run_completed(nil)
    expect(DesiredState::Machine.booted?(settings.state_dir)).to be(false)
  end

  it 'looks up the id of the machine once per run' do
    agents = peer do |request|
      agent = [200, JSON.generate('Config' => { 'NodeID' => 'an-id', 'NodeName' => World::NODE })]
      request.path == '/v1/agent/self' ? agent : Peer.forward(request)
    end
    reporter = make(url: agents.url, settings: settings(consul_url: agents.url))
    %w(web db).each { |tier| reporter.begin_tier(tier) && reporter.running(tier) }
    reporter.run_failed(RuntimeError.new('x'))
    expect(agents.requests.map(&:path).count('/v1/agent/self')).to eq(1)
    expect(%w(web db).map { |tier| reported(tier)['node_id'] }).to eq(%w(an-id an-id))
  end

  it "sends other tiers' kept reports after its own outcome" do
    outbox_at(nowhere).send_report(report_key('db'), report(tier: 'db', status: 'failed'), keep: true)
    reporter = make(url: consul_url)
    reporter.begin_tier('web')
    reporter.running('web')
    expect(reported('db')).to be_nil
    reporter.converge_complete
    reporter.run_completed(nil)
    expect(reported('db')).to include('status' => 'failed')
  end

  it 'reports a run that was cut off from outside as interrupted, with the exception' do
    read('web')
    reporter.run_failed(Interrupt.new('in the middle'))
    expect(sent.last).to include('status' => 'interrupted', 'finished_at' => '2026-11-22T08:00:09Z',
                                 'error' => a_hash_including('class' => 'Interrupt', 'message' => 'in the middle'))
  end

  it 'reports a recipe that ends the process as failed' do
    read('web')
    reporter.run_failed(SystemExit.new(2, 'exit'))
    expect(sent.last['status']).to eq('failed')
  end

  it 'keeps the outcome if Consul goes away during the run' do
    read('web')
    consul.answer = ->(_) { [500, 'No cluster leader'] }
    reporter.converge_complete
    reporter.run_completed(nil)
    expect(outbox_at(consul_url).flush).to eq(0)
    expect(reported).to include('status' => 'succeeded', 'generation' => 42, 'run_id' => 'run-7')
  end

  it 'does not keep reports of running' do
    consul.answer = ->(_) { [500, 'No cluster leader'] }
    read('web')
    outbox_at(consul_url).flush
    expect(reported).to be_nil
    expect(log.lines).to include(/could not report running/)
  end

  describe 'whatever happens' do
    before { read('web') }

    it 'does not raise if Consul refuses' do
      consul.answer = ->(_) { [403, 'Permission denied', {}] }
      expect { reporter.run_failed(RuntimeError.new('x')) }.not_to raise_error
      expect(log.lines.last).to match(/could not report failed of web: DesiredState::AccessDenied/)
    end

    it 'does not raise if an exception cannot be described' do
      mute = Class.new(StandardError) do
        def message
          raise IOError, 'no message'
        end
      end
      expect { reporter.run_failed(mute.new) }.not_to raise_error
      expect(sent.last).to include('status' => 'failed', 'error' => a_hash_including('message' => 'no message'))
    end

    it 'does not raise if Chef passes something unexpected' do
      reporter.resource_failed(Object.new, nil, RuntimeError.new('x'))
      reporter.resource_updated(nil, nil)
      reporter.converge_complete
      expect { reporter.run_completed(nil, Object.new) }.not_to raise_error
      expect { reporter.run_completed(nil, run_status_class.new(nil)) }.not_to raise_error
      expect(sent.last['status']).to eq('succeeded')
    end
  end
end
