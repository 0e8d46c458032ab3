# frozen_string_literal: true

unified_mode true
provides :desired_state_fallback

description 'Reports Chef runs that fail before a recipe reads a desired state: a missing cookbook, a syntax error in a ' \
            'library, an attribute file that raises. It adds a file to client.d, which Chef loads before any of these.'

property :path, String,
         name_property: true,
         description: 'The file in client.d.'

property :lib_dir, String,
         default: '/usr/local/lib/desired_state',
         description: 'The directory for the libraries.'

property :settings_path, String,
         default: lazy { ::File.join(Chef::Config.etc_chef_dir, 'desired_state.json') },
         description: 'The settings file.'

def after_created
  super
  DesiredState::Platform.refuse_windows(self)
end

action :create, description: 'Creates the file.' do
  desired_state_install new_resource.lib_dir do
    settings_path new_resource.settings_path
  end

  directory ::File.dirname(new_resource.path) do
    recursive true
  end

  template new_resource.path do
    source 'fallback.rb.erb'
    cookbook 'desired_state'
    mode '0644'
    variables(lib_dir: new_resource.lib_dir, settings_path: new_resource.settings_path)
  end
end

action :delete, description: 'Deletes the file, but keeps libraries and settings.' do
  file new_resource.path do
    action :delete
  end
end
