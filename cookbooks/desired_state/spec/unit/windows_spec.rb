# frozen_string_literal: true

require 'chefspec_helper'

RSpec.describe 'On a Windows node' do
  platform 'windows', '2022'
  step_into :desired_state_once, :desired_state_ready

  before do
    chef_node.default['desired_state'] = settings_given
    chef_node.default['url'] = peer { [200, ''] }.url
    desire
  end

  describe 'a recipe' do
    recipe do
      desired_state('web') do |on|
        on.state('converged') do |want|
          file('C:/web/release') { content want.values.fetch('release') }

          desired_state_once 'migrate' do
            tier 'web'
            version want.values.fetch('release')
            body { execute('migrate') }
          end

          desired_state_ready node['url']
        end
      end
    end

    it 'compiles its state, does the task of the tier, asks its service and reports' do
      expect(chef_run).to create_file('C:/web/release').with(content: '2.4.0')
      expect(chef_run).to run_execute('migrate')
      expect(stored(keys.done('web', 'migrate', '2.4.0'))).to include('node' => World::NODE)
      expect(reported).to include('status' => 'running', 'generation' => 42)
    end
  end

  {
    'desired_state_trigger' => 'web', 'desired_state_install' => 'C:/lib', 'desired_state_fallback' => 'C:/chef/client.d/x.rb'
  }.each do |resource, name|
    describe resource do
      recipe do
        file 'C:/before'
        declare_resource(resource.to_sym, name)
      end

      it 'is refused while the recipe compiles' do
        expect { chef_run }.to raise_error(DesiredState::UnsupportedPlatform, /\A#{resource}\[#{name}\] does not run on Windows; put/)
        expect(chef_runner.resource_collection.map(&:to_s)).to eq(['file[C:/before]'])
        expect(chef_runner.resource_collection.first.performed_actions).to be_empty
      end
    end
  end
end
