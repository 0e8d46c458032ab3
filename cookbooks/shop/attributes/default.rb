# frozen_string_literal: true

# The directory of the shop, with one directory per tier.
default['shop']['root'] = '/srv/shop'

# The ports on which the tiers listen, on loopback.
default['shop']['ports'] = { 'web' => 8080, 'app' => 8081, 'db' => 8082 }

# The database that the nodes of tier db share: a directory, such as a network mount.
default['shop']['store'] = '/srv/shop/store'

# What runs a tier's process: systemd, or Chef itself (process) if there is no systemd or no root.
default['shop']['supervisor'] = systemd? ? 'systemd' : 'process'
