# frozen_string_literal: true

name             'shop'
maintainer       'The airflow-provider-chefconsul authors'
maintainer_email 'maintainers@example.org'
license          'Apache-2.0'
description      'The example application: tiers web, app and db that follow their desired states'
version          '0.1.0'
source_url       'https://github.com/airflow-provider-chefconsul/airflow-provider-chefconsul'
issues_url       'https://github.com/airflow-provider-chefconsul/airflow-provider-chefconsul/issues'
chef_version     '>= 17.0'

supports 'debian'
supports 'ubuntu'

depends 'desired_state'
