# frozen_string_literal: true

require 'chefspec_helper'

RSpec.describe 'desired_state_install' do
  platform 'debian', '12'
  step_into :desired_state_install

  before { chef_node.default['desired_state'] = settings_given(patience: 7) }

  describe 'create' do
    recipe do
      desired_state_install '/opt/lib' do
        settings_path '/opt/etc/settings.json'
      end
    end

    it 'installs every library that does not need Chef, byte by byte' do
      libraries = DesiredState.library_files
      expect(libraries.map { |path| File.basename(path) }).to include('trigger.rb', 'early_failure.rb', 'outbox.rb')
      expect(libraries.map { |path| File.basename(path) }).not_to include('dsl.rb', 'library_files.rb')
      libraries.each do |path|
        expect(chef_run).to create_file("/opt/lib/#{File.basename(path)}").with(content: File.read(path), mode: '0644', sensitive: true)
      end
    end

    it 'installs libraries that can load one another' do
      chef_run.find_resources(:file).each do |file|
        File.write(File.join(directory, File.basename(file.path)), file.content) if file.path.end_with?('.rb')
      end
      script = 'ARGV.each { |path| require path }'
      expect(system(RbConfig.ruby, '-e', script, *Dir[File.join(directory, '*.rb')])).to be(true)
    end

    it 'writes the settings of the run, as the libraries read them' do
      file = chef_run.file('/opt/etc/settings.json')
      expect(chef_run).to create_directory('/opt/etc')
      expect(JSON.parse(file.content)).to eq(settings_given(patience: 7))
      path = File.join(directory, 'settings.json').tap { |copy| File.write(copy, file.content) }
      expect(DesiredState::Settings.read(path)).to have_attributes(node_name: World::NODE, patience: 7)
    end
  end

  describe 'create without settings of the node' do
    recipe { desired_state_install '/opt/lib' }

    before do
      chef_node.default['desired_state'] = { 'patience' => nil }
      chef_node.name('node-of-chef')
    end

    it 'writes what Chef knows about the node, next to its configuration' do
      chef_node.policy_group = 'group-of-chef'
      settings = JSON.parse(chef_run.file('/etc/chef/desired_state.json').content)
      expect(settings).to eq(
        'node_name' => 'node-of-chef', 'environment' => 'group-of-chef',
        'state_dir' => File.join(Chef::Config[:file_cache_path], 'desired_state')
      )
    end

    it "does not accept Chef's default environment" do
      expect { chef_run }.to raise_error(DesiredState::InvalidInput, /the environment is missing; set node/)
    end
  end

  describe 'delete' do
    recipe do
      desired_state_install '/opt/lib' do
        action :delete
      end
    end

    it 'deletes both' do
      expect(chef_run).to delete_directory('/opt/lib').with(recursive: true)
      expect(chef_run).to delete_file('/etc/chef/desired_state.json')
    end
  end
end
