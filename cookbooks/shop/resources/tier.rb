# frozen_string_literal: true

unified_mode true
provides :shop_tier

description 'A tier of the shop on this node: a small HTTP service that reports its release.'

property :tier, %w(web app db),
         name_property: true,
         description: 'The tier.'

property :release, String,
         description: 'The release to run; required by :run.'

property :mode, %w(serving waiting),
         default: 'serving',
         description: 'serving, or waiting: answers 503 until the tiers behind it are ready.'

action_class do
  def home
    ::File.join(node['shop']['root'], new_resource.tier)
  end

  def port
    node['shop']['ports'][new_resource.tier]
  end

  def config
    {
      'tier' => new_resource.tier, 'release' => new_resource.release, 'mode' => new_resource.mode, 'port' => port,
      'schema' => (::File.join(node['shop']['store'], 'schema.json') if new_resource.tier == 'db')
    }.compact
  end

  def declare_process(what)
    serve = ::File.join(home, 'serve.rb')
    arguments = [RbConfig.ruby, serve, ::File.join(home, 'config.json')]
    shop_process new_resource.tier do
      home ::File.dirname(serve)
      command arguments
      action what
    end
  end
end

action :run, description: 'Installs the release and runs it.' do
  raise ArgumentError, "#{new_resource} requires a release" if new_resource.release.nil?

  directory home do
    recursive true
  end

  declare_process(:nothing)

  cookbook_file ::File.join(home, 'serve.rb') do
    source 'serve.rb'
    cookbook 'shop'
    notifies :restart, "shop_process[#{new_resource.tier}]", :delayed
  end

  file ::File.join(home, 'config.json') do
    content "#{Chef::JSONCompat.to_json_pretty(config)}\n"
    notifies :restart, "shop_process[#{new_resource.tier}]", :delayed
  end

  declare_process(:start)

  desired_state_ready "http://127.0.0.1:#{port}/" do
    expect new_resource.mode == 'serving' ? 200 : 503
    interval 0.2
  end
end

action :stop, description: 'Stops the service, but keeps its files.' do
  declare_process(:stop)
end
