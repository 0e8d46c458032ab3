# frozen_string_literal: true

require_relative '../recipe_helper'

RSpec.describe 'shop::db' do
  include_context 'with a shared data view'

  subject(:chef_run) { runner.converge('shop::db') }

  context 'when the tier was never declared' do
    it 'is stopped, and nothing is migrated' do
      expect(chef_run).to stop_shop_process('db')
      expect(chef_run).not_to run_desired_state_once('migrate')
    end
  end

  context 'when off' do
    before { declare('db', 'off', {}) }

    it 'is stopped, and nothing is migrated' do
      expect(chef_run).to stop_shop_process('db')
      expect(chef_run).not_to run_desired_state_once('migrate')
    end
  end

  context 'when converged' do
    before { declare('db', 'converged') }

    it 'is migrated once for the release, before it runs' do
      expect(chef_run).to run_desired_state_once('migrate').with(tier: 'db', version: '2.5.0')
      names = chef_run.resource_collection.map(&:to_s)
      expect(names.index('desired_state_once[migrate]')).to be < names.index('shop_tier[db]')
    end

    it 'serves the release and the schema of the shared store' do
      expect(chef_run).to render_file('/srv/shop/db/config.json').with_content { |text|
        expect(JSON.parse(text)).to eq(
          'tier' => 'db', 'release' => '2.5.0', 'mode' => 'serving', 'port' => 8082,
          'schema' => '/mnt/store/schema.json'
        )
      }
      expect(chef_run).to check_desired_state_ready('http://127.0.0.1:8082/').with(expect: [200])
    end
  end

  %w(waiting draining).each do |state|
    context "when #{state}" do
      before { declare('db', state) }

      it 'fails, and lists the known states' do
        expect { chef_run }.to raise_error(/db is assigned state #{state}.*only for: off, converged/)
      end
    end
  end
end
