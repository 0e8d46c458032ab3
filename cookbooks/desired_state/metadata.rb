# frozen_string_literal: true

name             'desired_state'
maintainer       'The airflow-provider-chefconsul authors'
license          'Apache-2.0'
description      'Compiles recipes from the desired state that Consul holds, and reports the outcome'
version          '0.1.0'
chef_version     '>= 17.0'

# Linux with systemd 230 or later. On Windows, recipes and reports, but no trigger.
supports 'almalinux', '>= 9.0'
supports 'amazon', '>= 2023.0'
supports 'debian', '>= 12.0'
supports 'redhat', '>= 9.0'
supports 'rocky', '>= 9.0'
supports 'ubuntu', '>= 22.04'
supports 'windows'
