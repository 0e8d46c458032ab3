# frozen_string_literal: true

unified_mode true
provides :desired_state_install

description 'Puts what runs outside of Chef on the node: this cookbook\'s libraries, and the settings of the run in a ' \
            'file. desired_state_trigger and desired_state_fallback do it themselves.'

property :lib_dir, String,
         name_property: true,
         description: 'Where the libraries go.'

property :settings_path, String,
         default: lazy { ::File.join(Chef::Config.etc_chef_dir, 'desired_state.json') },
         description: 'Where the settings go.'

action :create, description: 'Put libraries and settings in place.' do
  given = DesiredState::ChefRun.settings_of(node)
  DesiredState::Settings.new(given) # what is wrong fails here, not when something outside of Chef reads it

  directory new_resource.lib_dir do
    recursive true
    mode '0755'
  end

  DesiredState.library_files.each do |path|
    file ::File.join(new_resource.lib_dir, ::File.basename(path)) do
      content ::File.read(path)
      mode '0644'
      sensitive true # for the log only, which would print whole libraries as differences
    end
  end

  directory ::File.dirname(new_resource.settings_path) do
    recursive true
  end

  file new_resource.settings_path do
    content "#{Chef::JSONCompat.to_json_pretty(given)}\n"
    mode '0644'
  end
end

action :delete, description: 'Take libraries and settings away.' do
  directory new_resource.lib_dir do
    recursive true
    action :delete
  end

  file new_resource.settings_path do
    action :delete
  end
end
