# frozen_string_literal: true

name 'shop'
run_list 'test::consul', 'shop::db', 'shop::app', 'shop::web'
cookbook 'shop', path: '.'
cookbook 'desired_state', path: '../desired_state'
cookbook 'test', path: '../desired_state/test/cookbooks/test'
