# frozen_string_literal: true

unified_mode true
provides :desired_state_install

description 'Installs what programs outside Chef need: this cookbook\'s libraries, and a file with the settings of the ' \
            'run. desired_state_trigger and desired_state_fallback include it.'

property :lib_dir, String,
         name_property: true,
         description: 'The directory for the libraries.'

property :settings_path, String,
         default: lazy { ::File.join(Chef::Config.etc_chef_dir, 'desired_state.json') },
         description: 'The settings file.'

def after_created
  super
  DesiredState::Platform.refuse_windows(self)
end

action :create, description: 'Installs libraries and settings.' do
  given = DesiredState::ChefRun.settings_of(node)
  DesiredState::Settings.new(given) # invalid settings fail here, not when a program outside Chef reads them

  directory new_resource.lib_dir do
    recursive true
    mode '0755'
  end

  DesiredState.library_files.each do |path|
    file ::File.join(new_resource.lib_dir, ::File.basename(path)) do
      content ::File.read(path)
      mode '0644'
      sensitive true # only to keep whole libraries out of the log, as diffs
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

action :delete, description: 'Deletes libraries and settings.' do
  directory new_resource.lib_dir do
    recursive true
    action :delete
  end

  file new_resource.settings_path do
    action :delete
  end
end
