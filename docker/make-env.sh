#!/bin/sh
# Writes new secrets for docker-compose.yml into .env next to it, or into the given file.
# An existing file is kept: the database and the agents remember the old secrets.
set -eu
file=${1:-"$(dirname "$0")/../.env"}
if [ -e "$file" ]; then
    echo "$file already exists; left unchanged" >&2
    exit 1
fi

random() { head -c 32 /dev/urandom | base64; }
random_for_url() { random | tr '+/' '-_'; }

umask 077
cat >"$file" <<ENV
# The password of Airflow's database user. It becomes part of a URL.
POSTGRES_PASSWORD=$(random_for_url)
# Encrypts secrets that Airflow stores in the database.
AIRFLOW_FERNET_KEY=$(random_for_url)
# Signs the requests of Airflow's components to the API server,
AIRFLOW_JWT_SECRET=$(random)
# and its own requests for task logs.
AIRFLOW_SECRET_KEY=$(random)
# Encrypts gossip between the Consul agents. An agent keeps the first key that it was started with.
CONSUL_GOSSIP_KEY=$(random)
ENV
echo "wrote $file"
