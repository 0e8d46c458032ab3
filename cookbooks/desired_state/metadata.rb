# frozen_string_literal: true

name             'desired_state'
maintainer       'The airflow-provider-chefconsul authors'
license          'Apache-2.0'
description      'Compiles recipes from the desired state that Consul holds, and reports the outcome'
version          '0.1.0'
chef_version     '>= 17.0'

supports 'debian'
supports 'ubuntu'
