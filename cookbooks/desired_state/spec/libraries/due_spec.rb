# frozen_string_literal: true

RSpec.describe DesiredState::Due do
  let(:dir) { File.join(directory, 'due') }

  def assignment(generation: 43, id: 'ab', spread_over: 300)
    DesiredState::Assignment.new(generation: generation, state: 'converged', values: {}, id: id, spread_over: spread_over)
  end

  # The seconds left at a time; each call as a process of its own.
  def left(at, about = assignment, node: World::NODE)
    described_class.new(dir: dir, node: node, clock: -> { at }).seconds_left('web', about)
  end

  let(:delay) { assignment.delay_of(World::NODE) }

  it "waits until this node's moment, which a retry does not move" do
    expect(delay).to be_between(1, 299)
    expect(left(1000.0)).to eq(delay)
    expect(left(1001.0)).to be_within(1e-6).of(delay - 1)
    expect(left(1000.0 + delay)).to eq(0.0)
    expect(left(99_999.0)).to eq(0.0)
  end

  it 'begins anew with another assignment, of which an id decides' do
    expect(left(1000.0)).to be_positive
    other = assignment(id: 'cd')
    expect(left(9000.0, other)).to eq(other.delay_of(World::NODE))
    expect(left(99_000.0, assignment(generation: 44, id: 'cd'))).to eq(0.0)
  end

  it 'spreads nodes over the whole span, by hash of id, else generation, and name' do
    delays = Array.new(1000) { |n| assignment(id: nil).delay_of("web-#{n}") }
    expect(delays.map { |seconds| (seconds / 30).floor }.tally.values).to all(be_between(70, 130))
    expect(assignment(id: nil).delay_of('a')).to eq(DesiredState::Bucket.of('43', 'a') * 300.0 / (2**32))
  end

  it 'does not wait without a span, and needs no file then' do
    expect(left(1000.0, assignment(spread_over: nil))).to eq(0.0)
    expect(File.exist?(dir)).to be(false)
  end

  it 'waits no longer than its delay if the clock is set back, or if the file is spoilt' do
    left(9000.0)
    expect(left(1000.0)).to eq(delay)
    ['', '[]', '{"assignment": "ab", "at": "soon"}'].each do |text|
      File.write(File.join(dir, 'web.json'), text)
      expect([text, left(1000.0)]).to eq([text, delay])
    end
  end

  it 'has one moment of its own in each interval at which it is enforced' do
    moments = %w(web-1 web-2 web-3).map do |node|
      (1..3600).select do |at|
        described_class.new(dir: dir, node: node, clock: -> { at.to_f }).enforced?(1800, Time.at(at - 1))
      end
    end
    expect(moments.map(&:size)).to eq([2, 2, 2])
    expect(moments.map { |first, second| second - first }).to eq([1800] * 3)
    expect(moments.uniq.size).to eq(3)
  end
end
