# frozen_string_literal: true

name 'desired_state'
run_list 'test::default'
cookbook 'desired_state', path: '.'
cookbook 'test', path: 'test/cookbooks/test'
