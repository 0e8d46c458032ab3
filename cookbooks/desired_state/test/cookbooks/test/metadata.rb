# frozen_string_literal: true

name             'test'
maintainer       'The airflow-provider-chefconsul authors'
maintainer_email 'maintainers@example.org'
license          'Apache-2.0'
description      'Test Kitchen: a Consul with desired states, and a recipe that follows one'
version          '0.1.0'
chef_version     '>= 17.0'

supports 'debian'

depends 'desired_state'
