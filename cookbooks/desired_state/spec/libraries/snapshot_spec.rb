# frozen_string_literal: true

RSpec.describe DesiredState::Snapshot do
  subject(:snapshot) { described_class.new(tier: 'web', assignment: assignment, source: 'consul') }

  let(:assignment) { DesiredState::Assignment.new(generation: 42, state: 'waiting', values: { 'release' => '2' }.freeze) }

  it "gives the node's assignment" do
    expect(snapshot).to have_attributes(
      tier: 'web', state: 'waiting', generation: 42, values: { 'release' => '2' }, source: 'consul', frozen?: true,
      to_s: 'web is waiting (generation 42, from consul)'
    )
  end

  it 'calls only the block of its state, with itself' do
    called = []
    result = snapshot.dispatch do |on|
      on.state('off') { called << :off }
      on.state('waiting') { |want| called << want }
    end
    expect(called).to eq([snapshot])
    expect(result).to eq(called)
  end

  it 'keeps the recipe as self in the block' do
    found = nil
    snapshot.dispatch { |on| on.state('waiting') { found = self } }
    expect(found).to equal(self)
  end

  it 'accepts several states for a block, also as symbols' do
    called = 0
    snapshot.dispatch { |on| on.state(:off, :waiting) { called += 1 } }
    expect(called).to eq(1)
  end

  it 'refuses a state that has no block, naming those that have one' do
    table = proc do |on|
      on.state('off') { raise 'not for this state' }
      on.state('converged') { raise 'not for this state' }
    end
    expect { snapshot.dispatch(&table) }
      .to raise_error(DesiredState::UnknownState, /web is assigned state waiting \(generation 42\).*only for: off, converged\z/)
  end

  it 'refuses a declaration without a block or with an invalid state' do
    expect { snapshot.dispatch { |on| on.state('waiting') } }.to raise_error(ArgumentError, /waiting requires a block/)
    expect { snapshot.dispatch { |on| on.state('a b') { nil } } }.to raise_error(DesiredState::InvalidInput, /state "a b"/)
  end
end
