# frozen_string_literal: true

name             'shop'
maintainer       'The airflow-provider-chefconsul authors'
license          'Apache-2.0'
description      'The example application: tiers web, app and db that follow their desired states'
version          '0.1.0'
chef_version     '>= 17.0'

supports 'debian'
supports 'ubuntu'

depends 'desired_state'
