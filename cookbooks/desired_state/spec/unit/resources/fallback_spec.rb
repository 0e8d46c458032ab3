# frozen_string_literal: true

require 'chefspec_helper'
require 'erb'

RSpec.describe 'desired_state_fallback' do
  platform 'debian', '12'
  step_into :desired_state_fallback

  before { chef_node.default['desired_state'] = settings_given }

  describe 'create' do
    recipe do
      desired_state_fallback '/etc/chef/client.d/desired_state.rb' do
        lib_dir '/opt/lib'
        settings_path '/opt/settings.json'
      end
    end

    # The file in client.d.
    def rendered
      template = chef_run.template('/etc/chef/client.d/desired_state.rb')
      source = File.read(File.join(COOKBOOKS, 'desired_state', 'templates', template.source))
      context = Object.new
      template.variables.each { |name, value| context.instance_variable_set("@#{name}", value) }
      ERB.new(source, trim_mode: '-').result(context.instance_eval { binding })
    end

    it 'installs libraries and settings first' do
      expect(chef_run).to create_desired_state_install('/opt/lib').with(settings_path: '/opt/settings.json')
      order = chef_run.resource_collection.map(&:to_s)
      expect(order.index('desired_state_install[/opt/lib]'))
        .to be < order.index('template[/etc/chef/client.d/desired_state.rb]')
    end

    it 'adds a file to client.d' do
      expect(chef_run).to create_directory('/etc/chef/client.d').with(recursive: true)
      expect(chef_run).to create_template('/etc/chef/client.d/desired_state.rb')
        .with(cookbook: 'desired_state', mode: '0644', variables: { lib_dir: '/opt/lib', settings_path: '/opt/settings.json' })
    end

    it 'adds a file that reports a failed run unless a reporter does' do
      handlers = {}
      chef = Module.new
      chef.define_singleton_method(:event_handler) { |&block| class_eval(&block) }
      chef.define_singleton_method(:on) { |event, &block| handlers[event] = block }
      stub_const('Chef::EventsOfSpec', chef)
      text = rendered.sub('Chef.event_handler', 'Chef::EventsOfSpec.event_handler')
      path = File.join(directory, 'settings.json').tap { |copy| File.write(copy, JSON.generate(settings_given)) }
      eval(text.sub('/opt/settings.json', path), TOPLEVEL_BINDING.dup) # rubocop:disable Security/Eval
      node = Chef::Node.new
      run_status = Chef::RunStatus.new(node, Chef::EventDispatch::Dispatcher.new)
      node.run_state[:desired_state] = true
      handlers.fetch(:run_failed).call(IOError.new('reported elsewhere'), run_status)
      expect(stored(keys.early_failure(World::NODE))).to be_nil
      node.run_state.delete(:desired_state)
      handlers.fetch(:run_failed).call(IOError.new('no such cookbook'), run_status)
      expect(stored(keys.early_failure(World::NODE))).to include(
        'status' => 'failed', 'client' => "chef #{Chef::VERSION}", 'error' => a_hash_including('message' => 'no such cookbook')
      )
    end
  end

  describe 'delete' do
    recipe do
      desired_state_fallback '/etc/chef/client.d/desired_state.rb' do
        action :delete
      end
    end

    it 'deletes the file and nothing else' do
      expect(chef_run).to delete_file('/etc/chef/client.d/desired_state.rb')
      expect(chef_run.resource_collection.map(&:to_s)).to contain_exactly(
        'desired_state_fallback[/etc/chef/client.d/desired_state.rb]', 'file[/etc/chef/client.d/desired_state.rb]'
      )
    end
  end
end
