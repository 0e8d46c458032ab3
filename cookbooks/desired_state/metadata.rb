# frozen_string_literal: true

name             'desired_state'
maintainer       'The airflow-provider-chefconsul authors'
maintainer_email 'maintainers@example.org'
license          'Apache-2.0'
description      'Compiles recipes from the desired state that Consul holds, and reports the outcome'
version          '0.1.0'
source_url       'https://github.com/airflow-provider-chefconsul/airflow-provider-chefconsul'
issues_url       'https://github.com/airflow-provider-chefconsul/airflow-provider-chefconsul/issues'
chef_version     '>= 17.0'

supports 'debian'
supports 'ubuntu'
