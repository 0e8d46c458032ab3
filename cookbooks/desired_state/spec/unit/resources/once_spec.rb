# frozen_string_literal: true

require 'chefspec_helper'

RSpec.describe 'desired_state_once' do
  platform 'debian', '12'
  step_into :desired_state_once

  before { chef_node.default['desired_state'] = settings_given }

  let(:done_key) { keys.done('db', 'schema', '42') }

  describe 'run' do
    recipe do
      desired_state_once 'schema' do
        tier 'db'
        version 42
        body do
          execute('migrate') { live_stream true }
        end
      end
    end

    it 'converges the body the first time, and marks the task as done' do
      expect(chef_run).to run_execute('migrate')
      expect(stored(done_key)).to include('node' => World::NODE)
      expect(chef_run.desired_state_once('schema')).to be_updated
    end

    it 'converges nothing if a node of the tier has done the task' do
      kv.put(done_key, '{}')
      expect(chef_run).not_to run_execute('migrate')
      expect(chef_run.desired_state_once('schema')).not_to be_updated
    end

    it 'converges the body for another version' do
      kv.put(keys.done('db', 'schema', '41'), '{}')
      expect(chef_run).to run_execute('migrate')
    end

    it 'neither converges nor takes the lock in a why-run' do
      asked = peer { |request| Peer.forward(request) }
      chef_node.default['desired_state'] = settings_given(consul_url: asked.url)
      chef_runner
      why_run = Chef::Config[:why_run]
      Chef::Config[:why_run] = true
      expect(chef_run).not_to run_execute('migrate')
      expect(asked.writes).to be_empty
      expect(kv.get(done_key)).to be_nil
    ensure
      Chef::Config[:why_run] = why_run
    end
  end

  describe 'run with a body that fails' do
    recipe do
      desired_state_once 'schema' do
        tier 'db'
        version 42
        body { raise IOError, 'the disk is full' }
      end
    end

    it 'fails the run, marks nothing as done and frees the lock' do
      expect { chef_run }.to raise_error(IOError, /the disk is full/)
      expect(kv.get(done_key)).to be_nil
      row = JSON.parse(Net::HTTP.get(URI("#{consul_url}/v1/kv/#{keys.lock('db', 'schema')}"))).first
      expect(row).not_to include('Session')
    end
  end

  describe 'run without a body' do
    recipe do
      desired_state_once 'schema' do
        tier 'db'
        version 42
      end
    end

    it 'fails the run' do
      expect { chef_run }.to raise_error(DesiredState::InvalidInput, /desired_state_once\[schema\]: the body is missing/)
    end
  end

  describe 'run without a version' do
    recipe do
      desired_state_once 'schema' do
        tier 'db'
        body { nil }
      end
    end

    it 'fails the run' do
      expect { chef_run }.to raise_error(Chef::Exceptions::ValidationFailed, /version/)
    end
  end

  describe 'run with a ttl that Consul refuses' do
    recipe do
      desired_state_once 'schema' do
        tier 'db'
        version 42
        ttl 9
        body { nil }
      end
    end

    it 'fails the run' do
      expect { chef_run }.to raise_error(Chef::Exceptions::ValidationFailed, /must be 10 to 86400 seconds/)
    end
  end
end
