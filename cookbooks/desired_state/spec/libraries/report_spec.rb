# frozen_string_literal: true

RSpec.describe DesiredState::Report do
  key = 'chefconsul/demo/web/nodes/web-1'
  errors = { 'malformed' => DesiredState::MalformedDocument, 'unknown_schema' => DesiredState::UnknownSchema }

  Contract.load('report_valid.json').each do |entry|
    it "reads a valid report: #{entry['why']}" do
      found = described_class.parse(key, JSON.generate(entry['document']))
      assignment = DesiredState::Assignment.new(**entry['assignment'].transform_keys(&:to_sym))
      expect(found.converged_on?(assignment)).to be(entry['has_converged'])
    end

    it "writes what it reads: #{entry['why']}" do
      found = described_class.parse(key, JSON.generate(entry['document']))
      expect(JSON.parse(found.to_json)).to eq(entry['document'])
      expect(described_class.parse(key, found.to_json).fields).to eq(found.fields)
    end
  end

  Contract.load('report_malformed.json').each do |entry|
    it "refuses a malformed report: #{entry['why']}" do
      expect { described_class.parse(key, entry['raw']) }.to raise_error do |error|
        expect(error).to be_an_instance_of(errors.fetch(entry['error']))
        expect(error.problem).to include(entry['says'])
        expect(error.message).to include(key)
      end
    end
  end

  describe '.error' do
    it 'cuts a message at 2000 characters' do
      error = described_class.error(RuntimeError.new('é' * 2001))
      expect(error).to eq('class' => 'RuntimeError', 'message' => 'é' * 2000, 'resource' => '')
    end

    it 'gives valid JSON for any bytes in the message and the resource' do
      error = described_class.error(RuntimeError.new("a\xffb".b), "file[/caf\xe9]")
      expect(error).to include('message' => 'a�b', 'resource' => 'file[/caf�]')
      expect(JSON.parse(report(error: error).to_json)['error']).to eq(error)
    end

    it "adds the Chef server's answer, which names a missing cookbook" do
      http_error = Class.new(StandardError) { attr_accessor :response }
      response = Struct.new(:body)
      inner = { 'non_existent_cookbooks' => ['nope'], 'message' => 'Run list contains invalid items: no such cookbook nope.' }
      {
        JSON.generate('error' => [JSON.generate(inner)]) => "412 \"Precondition Failed\": #{inner['message']}",
        JSON.generate('error' => ['No such cookbook: nope']) => '412 "Precondition Failed": No such cookbook: nope',
        JSON.generate('error' => 'no such node') => '412 "Precondition Failed": no such node',
        '<html>' => '412 "Precondition Failed"',
        '[]' => '412 "Precondition Failed"',
        nil => '412 "Precondition Failed"',
      }.each do |body, message|
        error = http_error.new('412 "Precondition Failed"').tap { |made| made.response = response.new(body) }
        expect(described_class.error(error)['message']).to eq(message)
      end
    end

    it 'accepts an exception of an anonymous class' do
      error = described_class.error(Class.new(StandardError).new('x'))
      expect(error['class']).to eq('')
      expect(described_class.parse(key, report(error: error).to_json)['error']).to eq(error)
    end
  end

  describe '#as_previous_of' do
    assignment = DesiredState::Assignment.new(generation: 42, state: 'converged', values: {}, id: 'a' * 16)

    [
      # status, generation, id, previous_status => previous_status of the next report
      ['succeeded', 42, 'a' * 16, nil, 'succeeded'],
      ['succeeded', 42, nil, nil, 'succeeded'],
      ['succeeded', 42, 'b' * 16, nil, nil],
      ['succeeded', 41, 'a' * 16, nil, nil],
      ['failed', 42, 'a' * 16, nil, 'failed'],
      ['failed', nil, nil, nil, nil],
      ['running', 42, 'a' * 16, nil, 'running'],
      ['interrupted', 42, 'a' * 16, 'succeeded', 'interrupted'],
      ['rebooting', 42, 'a' * 16, 'running', 'rebooting'],
      ['running', 42, 'a' * 16, 'failed', 'failed'],
      ['interrupted', 42, 'a' * 16, 'failed', 'failed'],
      ['rebooting', 42, 'a' * 16, 'failed', 'failed'],
      ['succeeded', 42, 'a' * 16, 'failed', 'succeeded'],
      ['running', 42, 'b' * 16, 'failed', nil],
    ].each do |status, generation, id, previous, expected|
      it "is #{expected.inspect} for #{status} of generation #{generation.inspect}, id #{id.inspect}, after #{previous.inspect}" do
        before = report(status: status, generation: generation, id: id, previous_status: previous)
        expect(before.as_previous_of(assignment)).to eq(expected)
      end
    end
  end

  it 'is from another machine only if both ids are known' do
    expect(report(node_id: 'a').of_other_machine?('b')).to be(true)
    [%w(a a), ['a', nil], [nil, 'b'], [nil, nil]].each do |theirs, ours|
      expect(report(node_id: theirs).of_other_machine?(ours)).to be(false)
    end
  end

  it 'formats times in UTC without changing them' do
    time = Time.new(2026, 11, 22, 10, 0, 0, '+02:00')
    expect(described_class.moment(time)).to eq('2026-11-22T08:00:00Z')
    expect(time.hour).to eq(10)
  end

  it 'copies itself with changed fields' do
    first = report(status: 'running')
    expect(first.with('status' => 'failed')['status']).to eq('failed')
    expect(first['status']).to eq('running')
    expect(first.fields).to be_frozen
  end

  it 'fills in the outcome of the run before only if it is missing' do
    later = report(status: 'interrupted', run_id: 'run-2', node_id: 'm')
    failed = report(status: 'failed', run_id: 'run-1')
    expect(later.following(failed)['previous_status']).to eq('failed')
    expect(later.with('previous_status' => 'succeeded').following(failed)['previous_status']).to eq('succeeded')
    [nil, failed.with('run_id' => 'run-2'), failed.with('node_id' => 'other'), failed.with('generation' => 1)].each do |before|
      expect(later.following(before)['previous_status']).to be_nil
    end
    expect(later.with('generation' => nil).following(failed)['previous_status']).to be_nil
  end
end
