# frozen_string_literal: true

# Where the shop lives; below it a directory for each tier.
default['shop']['root'] = '/srv/shop'

# What the tiers listen on, on loopback.
default['shop']['ports'] = { 'web' => 8080, 'app' => 8081, 'db' => 8082 }

# The database that the nodes of tier db share: a directory, such as a network mount.
default['shop']['store'] = '/srv/shop/store'

# What keeps a tier's process: systemd, or nothing (process) where there is no systemd or no root.
default['shop']['supervisor'] = systemd? ? 'systemd' : 'process'
