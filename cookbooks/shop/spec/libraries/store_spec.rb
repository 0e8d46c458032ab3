# frozen_string_literal: true

require_relative '../../libraries/store'

RSpec.describe Shop::Store do
  subject(:store) { described_class.new(path) }

  let(:path) { File.join(@directory, 'mount', 'store') }

  def schema
    JSON.parse(File.read(File.join(path, 'schema.json')))
  end

  it 'has no release while it is empty' do
    expect(store.release).to be_nil
  end

  it 'has the release that it was migrated to, also after it is reopened' do
    store.migrate('2.4.0', by: 'db-1')
    expect(store.release).to eq '2.4.0'
    expect(described_class.new(path).release).to eq '2.4.0'
  end

  it 'records who migrated it, in order' do
    store.migrate('2.4.0', by: 'db-1')
    store.migrate('2.5.0', by: 'db-2')
    expect(schema['migrations']).to match(
      [{ 'to' => '2.4.0', 'by' => 'db-1', 'at' => match(/\A\d{4}-.*Z\z/) }, include('to' => '2.5.0', 'by' => 'db-2')]
    )
  end

  it 'can be migrated again after an interrupted migration' do
    store.migrate('2.4.0', by: 'db-1')
    File.write(File.join(path, 'schema.json.new'), '{"release": "2.')
    expect(store.release).to eq '2.4.0'
    store.migrate('2.5.0', by: 'db-2')
    expect(store.release).to eq '2.5.0'
    expect(Dir.children(path)).to eq ['schema.json']
  end

  it 'does not mistake a damaged file for an empty store' do
    store.migrate('2.4.0', by: 'db-1')
    File.write(File.join(path, 'schema.json'), 'no JSON')
    expect { store.migrate('2.5.0', by: 'db-1') }.to raise_error(JSON::ParserError)
  end
end
