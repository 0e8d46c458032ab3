# frozen_string_literal: true

RSpec.describe DesiredState::WholeFile do
  let(:path) { File.join(directory, 'file') }

  it 'writes a file that only its owner can read, byte by byte' do
    described_class.write(path, "größer ✓ \xff".b)
    expect(File.binread(path)).to eq("größer ✓ \xff".b)
    expect(File.stat(path).mode & 0o777).to eq(0o600)
    expect(Dir.children(directory)).to eq(['file'])
  end

  it 'leaves the old content, and no temporary file, on a full disk' do
    described_class.write(path, 'before')
    child = fork do
      trap('XFSZ', 'IGNORE')
      Process.setrlimit(:FSIZE, 40) # no file can exceed 40 bytes
      described_class.write(path, 'x' * 100)
      exit!(1)
    rescue Errno::EFBIG
      exit!(0)
    end
    expect(Process.wait2(child).last.exitstatus).to eq(0)
    expect(Dir.children(directory)).to eq(['file'])
    expect(File.read(path)).to eq('before')
  end

  it 'raises if it cannot write' do
    expect { described_class.write('/nowhere/file', 'x') }.to raise_error(Errno::ENOENT)
  end

  it 'removes a file that may be gone' do
    File.write(path, 'x')
    2.times { described_class.remove(path) }
    expect(File.exist?(path)).to be(false)
  end
end
