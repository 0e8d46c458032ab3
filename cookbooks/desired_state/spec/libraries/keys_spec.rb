# frozen_string_literal: true

RSpec.describe DesiredState::Keys do
  subject(:keys) { described_class.new(prefix: 'chefconsul', environment: 'prod') }

  it 'builds the keys of the shared data view' do
    expect(keys.desired('web')).to eq('chefconsul/prod/web/desired')
    expect(keys.report('web', 'web-1')).to eq('chefconsul/prod/web/nodes/web-1')
    expect(keys.lock('db', 'schema')).to eq('chefconsul/prod/db/locks/schema')
    expect(keys.done('db', 'schema', '42')).to eq('chefconsul/prod/db/done/schema/42')
    expect(keys.slots('db')).to eq('chefconsul/prod/db/_slots/')
    expect(keys.ticket('db', 'db-1')).to eq('chefconsul/prod/db/_slots/db-1')
    expect(keys.early_failure('web-1')).to eq('chefconsul/prod/_nodes/web-1')
  end

  it 'accepts a prefix of several names' do
    nested = described_class.new(prefix: 'teams/shop', environment: 'prod')
    expect(nested.desired('web')).to eq('teams/shop/prod/web/desired')
  end

  ['', '/', 'a/', '/a', 'a//b', 'a b', '../a', "a\nb", "..\na", nil, 1].each do |prefix|
    it "refuses the prefix #{prefix.inspect}" do
      expect { described_class.new(prefix: prefix, environment: 'prod') }
        .to raise_error(DesiredState::InvalidInput, /prefix/)
    end
  end

  {
    'environment' => ->(_, text) { described_class.new(prefix: 'p', environment: text) },
    'tier' => ->(keys, text) { keys.desired(text) },
    'node' => ->(keys, text) { keys.report('web', text) },
    'task' => ->(keys, text) { keys.lock('web', text) },
    'version' => ->(keys, text) { keys.done('web', 'schema', text) },
  }.each do |kind, build|
    it "refuses a #{kind} that would lead to another key" do
      expect { instance_exec(keys, '../x', &build) }.to raise_error(DesiredState::InvalidInput, %r{\A#{kind} "\.\./x"})
    end
  end
end
