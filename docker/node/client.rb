# frozen_string_literal: true

# Chef's configuration; start-node writes the attributes.

home = ENV.fetch('NODE_HOME')

node_name        ENV.fetch('NODE_NAME')
cookbook_path    ENV.fetch('COOKBOOKS')
chef_repo_path   "#{home}/chef"
file_cache_path  "#{home}/chef/cache"
file_backup_path "#{home}/chef/backup"
chef_guid_path   "#{home}/chef/guid" # default: next to this file
pid_file         "#{home}/chef/client.pid"
log_location     "#{home}/chef.log"
minimal_ohai     true
