# frozen_string_literal: true

name             'test'
maintainer       'The airflow-provider-chefconsul authors'
license          'Apache-2.0'
description      'Test Kitchen: a Consul with desired states, and a recipe that follows one'
version          '0.1.0'
chef_version     '>= 17.0'

supports 'almalinux', '>= 9.0'
supports 'amazon', '>= 2023.0'
supports 'debian', '>= 12.0'
supports 'redhat', '>= 9.0'
supports 'rocky', '>= 9.0'
supports 'ubuntu', '>= 22.04'

depends 'desired_state'
