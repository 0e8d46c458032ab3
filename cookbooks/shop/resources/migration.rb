# frozen_string_literal: true

unified_mode true
provides :shop_migration

description 'Migrates the store of the shop\'s database to a release.'

property :release, String,
         name_property: true,
         description: 'The release to migrate to.'

action :run, description: 'Migrates the store, unless it already has the release.' do
  store = Shop::Store.new(node['shop']['store'])
  unless store.release == new_resource.release
    converge_by("migrate the store from #{store.release || 'nothing'} to #{new_resource.release}") do
      store.migrate(new_resource.release, by: node.name)
    end
  end
end
