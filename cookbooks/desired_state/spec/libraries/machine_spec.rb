# frozen_string_literal: true

RSpec.describe DesiredState::Machine do
  it 'gives the same text until the machine reboots' do
    expect(described_class.boot).to match(/\A\h{8}-\S+ \d+\z/)
    expect(described_class.boot).to eq(described_class.boot)
  end

  it 'gives another text after the first process has restarted, as in a container' do
    stat = File.read('/proc/1/stat')
    started = stat.rpartition(')').last.split[19]
    expect(described_class.boot).to end_with(" #{started}")
    expect(Integer(started)).to be >= 0
  end

  it 'knows whether a run has succeeded since the boot' do
    state_dir = File.join(directory, 'state')
    expect(described_class.booted?(state_dir)).to be(true)
    described_class.remember_boot(state_dir)
    expect(described_class.booted?(state_dir)).to be(false)
    File.write(File.join(state_dir, 'boot'), 'another boot')
    expect(described_class.booted?(state_dir)).to be(true)
  end

  it 'assumes no boot if the machine cannot tell' do
    stub_const('DesiredState::Machine::BOOT_ID', '/nowhere')
    expect(described_class.boot).to be_nil
    expect(described_class.booted?(directory)).to be(false)
  end

  it 'does not raise if nothing can be written' do
    expect { described_class.remember_boot('/proc/nowhere') }.not_to raise_error
  end
end
