# frozen_string_literal: true

unified_mode true
provides :desired_state_once

description 'Converges some resources on only one node of a tier, once per version: for example a migration. At least ' \
            'once, to be precise: if a node dies in the middle of the task, another node starts it again, so the task ' \
            'must be safe to repeat.'

property :task, String,
         name_property: true,
         description: 'The name of the task, part of the keys under which Consul remembers it.'

property :tier, String,
         required: true,
         description: 'The tier whose nodes share the task.'

property :version, [String, Integer],
         required: true,
         coerce: proc { |version| version.to_s },
         description: 'The task is done once per version.'

property :ttl, Integer,
         default: 30,
         callbacks: { 'must be 10 to 86400 seconds' => ->(ttl) { ttl.between?(10, 86_400) } },
         description: 'Seconds until the lock of a dead node is free again; Consul takes up to twice that.'

property :wait, Integer,
         default: 600,
         description: 'Seconds to wait for another node to finish the task.'

# The resources to converge; compiled while this node holds the lock.
def body(&block)
  @body = block if block
  @body
end

action :run, description: 'Converges the body, unless a node of the tier has already done so for this version.' do
  raise DesiredState::InvalidInput, "#{new_resource}: the body is missing" if new_resource.body.nil?

  settings = DesiredState::ChefRun.of(run_context).settings
  tier = new_resource.tier
  once = DesiredState::Once.new(
    kv: settings.kv, node: settings.node_name, ttl: new_resource.ttl, wait: new_resource.wait,
    lock_key: settings.keys.lock(tier, new_resource.task),
    done_key: settings.keys.done(tier, new_resource.task, new_resource.version)
  )
  if Chef::Config[:why_run]
    logger.info("#{new_resource} would take the lock and converge its body")
  else
    once.run do
      converge_by("do #{new_resource.task} #{new_resource.version} for all nodes of tier #{tier}") do
        compile_and_converge_action(&new_resource.body) # includes delayed notifications, before it is marked as done
      end
    end
  end
end
