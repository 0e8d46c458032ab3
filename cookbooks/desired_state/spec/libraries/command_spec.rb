# frozen_string_literal: true

require 'rbconfig'

RSpec.describe DesiredState::Command do
  let(:ready) { File.join(directory, 'ready') }
  let(:noted) { File.join(directory, 'noted') }

  # A process that runs a command with some grace and exits with its exit code, or with 99 if it got SIGTERM.
  def start(script, grace:)
    child = fork do
      command = described_class.new([RbConfig.ruby, '--disable-gems', '-e', script], grace: grace)
      code = command.run
      exit!(command.stopped? ? 99 : code)
    end
    wait_until('the command') { File.exist?(ready) }
    child
  end

  def code_of(child)
    Process.wait2(child).last.exitstatus
  end

  it 'continues after SIGTERM during the grace' do
    gate = File.join(directory, 'gate')
    File.mkfifo(gate)
    child = start("File.write('#{ready}', ''); File.read('#{gate}'); File.write('#{noted}', 'done')", grace: 3600)
    2.times { Process.kill('TERM', child) }
    File.write(gate, '')
    expect(code_of(child)).to eq(99)
    expect(File.read(noted)).to eq('done')
  end

  it 'gets SIGINT after the grace, and has time to report' do
    script = "trap('INT') { File.write('#{noted}', 'interrupted'); exit }; File.write('#{ready}', ''); sleep(30)"
    child = start(script, grace: 0)
    Process.kill('TERM', child)
    expect(code_of(child)).to eq(99)
    expect(File.read(noted)).to eq('interrupted')
  end

  it "gets a terminal's SIGINT directly, and is waited for" do
    gate = File.join(directory, 'gate')
    File.mkfifo(gate)
    child = start("File.write('#{ready}', ''); File.read('#{gate}'); exit(7)", grace: 0)
    Process.kill('INT', child)
    File.write(gate, '')
    expect(code_of(child)).to eq(7)
  end

  it 'restores signal handlers' do
    before = trap('TERM') { nil }
    mine = trap('TERM') { nil }.tap { |handler| trap('TERM', handler) }
    described_class.new(['true']).run
    expect(trap('TERM', before)).to equal(mine)
  end
end
