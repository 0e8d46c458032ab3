# frozen_string_literal: true

require 'rbconfig'
require_relative '../../libraries/child'

RSpec.describe Shop::Child do
  subject(:child) { described_class.new(command, home: @directory) }

  let(:command) { ['/bin/sleep', '600'] }
  let(:pid_file) { File.join(@directory, 'pid') }

  after { child.stop }

  def pid
    Integer(File.read(pid_file))
  end

  def ended?(number)
    Process.kill(0, number)
    false
  rescue Errno::ESRCH
    true
  end

  it 'does not run before it is started' do
    expect(child).not_to be_running
    expect { child.stop }.not_to raise_error
  end

  it 'runs from start to stop' do
    child.start
    expect(child).to be_running
    child.stop
    expect(child).not_to be_running
    eventually { ended?(pid) } # one of our threads reaps it a moment later
  end

  it 'is found again by its pid file' do
    child.start
    again = described_class.new(command, home: @directory)
    expect(again).to be_running
    again.stop
    expect(child).not_to be_running
  end

  it 'no longer runs after it was killed' do
    child.start
    Process.kill('KILL', pid)
    eventually { !child.running? }
    child.start
    expect(child).to be_running
  end

  it 'is not mistaken for another process that got its number' do
    other = Process.spawn('/bin/sleep', '601')
    File.write(pid_file, "#{other}\n")
    expect(child).not_to be_running
    child.stop
    expect(Process.wait(other, Process::WNOHANG)).to be_nil
  ensure
    Process.kill('KILL', other)
    Process.wait(other)
  end

  ['', 'no number', '99999999'].each do |text|
    it "does not run with #{text.inspect} in the pid file" do
      File.write(pid_file, text)
      expect(child).not_to be_running
      expect { child.stop }.not_to raise_error
    end
  end

  context 'when it ignores TERM' do
    let(:command) { [RbConfig.ruby, '-e', 'trap("TERM", "IGNORE"); puts "deaf"; $stdout.flush; sleep'] }

    it 'is killed' do
      stub_const('Shop::Child::GRACE', 0.1)
      child.start
      eventually { File.read(File.join(@directory, 'log')).include?('deaf') }
      child.stop
      eventually { !child.running? }
    end
  end

  context 'when it prints its directory' do
    let(:command) { ['/bin/sh', '-c', 'pwd; echo wrong >&2; exec sleep 600'] }

    it 'runs in its home, and appends to its log there' do
      child.start
      log = File.join(@directory, 'log')
      expected = "#{File.realpath(@directory)}\nwrong\n"
      eventually { File.read(log) == expected }
      Process.kill('KILL', pid)
      child.start
      eventually { File.read(log) == expected * 2 }
      Process.kill('KILL', pid)
    end
  end
end
