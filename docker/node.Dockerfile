# A node: a Consul agent, and a client that converges the example application.
# Cinc Client is the community build of Chef Infra Client from the same source. Using Chef's own packages requires
# accepting a licence, which an image cannot do for you.
FROM hashicorp/consul:1.22.7 AS consul
FROM cincproject/cinc:18.9.4 AS cinc
FROM debian:bookworm-20260202-slim

COPY --from=consul /bin/consul /usr/local/bin/consul
COPY --from=cinc /opt/cinc /opt/cinc
COPY cookbooks /usr/local/share/chefconsul/cookbooks
COPY docker/node/agent.hcl docker/node/client.rb docker/node/health.rb /etc/chefconsul/
COPY docker/node/chef-client docker/node/converge docker/node/node-health docker/node/start-node /usr/local/bin/

ENV CHEF_CLIENT=/opt/cinc/bin/cinc-client \
    CHEF_RUBY=/opt/cinc/embedded/bin/ruby \
    COOKBOOKS=/usr/local/share/chefconsul/cookbooks \
    NODE_CONFIG=/etc/chefconsul \
    NODE_HOME=/var/lib/node \
    SHOP_PORT=8080 \
    SHOP_STORE=/var/lib/shop-store

# Runs as root, like Chef on a host. The arguments go to the Consul agent.
ENTRYPOINT ["start-node"]
