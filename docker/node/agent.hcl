# What the agents of all nodes have in common; start-node writes the rest.
retry_join = ["consul-1", "consul-2", "consul-3"]

# ConsulExecChefOperator nudges nodes with Consul's remote execution.
disable_remote_exec = false

# A stopped node remains a member that is absent, instead of leaving its tier.
leave_on_terminate      = false
skip_leave_on_interrupt = true

disable_update_check = true
