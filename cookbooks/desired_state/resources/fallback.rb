# frozen_string_literal: true

unified_mode true
provides :desired_state_fallback

description 'Reports Chef runs that die before a recipe reads a desired state: a missing cookbook, a syntax error in a ' \
            'library, an attribute file that raises. It adds a file to client.d, which Chef reads before all of that.'

property :path, String,
         name_property: true,
         description: 'The file in client.d.'

property :lib_dir, String,
         default: '/usr/local/lib/desired_state',
         description: 'Where the libraries go.'

property :settings_path, String,
         default: lazy { ::File.join(Chef::Config.etc_chef_dir, 'desired_state.json') },
         description: 'Where the settings go.'

action :create, description: 'Put the file in place.' do
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

action :delete, description: 'Take the file away; libraries and settings stay.' do
  file new_resource.path do
    action :delete
  end
end
