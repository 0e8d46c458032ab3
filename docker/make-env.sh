#!/bin/sh
# Writes the secrets that docker-compose.yml asks for, new ones, into .env beside it, or into the file given.
# What exists is kept: the database and the agents remember the old ones.
set -eu
file=${1:-"$(dirname "$0")/../.env"}
if [ -e "$file" ]; then
    echo "$file exists, and is kept" >&2
    exit 1
fi

random() { head -c 32 /dev/urandom | base64; }
random_for_url() { random | tr '+/' '-_'; }

umask 077
cat >"$file" <<ENV
# The password of Airflow's user in its database. It is part of a URL.
POSTGRES_PASSWORD=$(random_for_url)
# Encrypts what Airflow keeps in the database.
AIRFLOW_FERNET_KEY=$(random_for_url)
# Signs what Airflow's components say to the API server,
AIRFLOW_JWT_SECRET=$(random)
# and its requests for the logs of tasks.
AIRFLOW_SECRET_KEY=$(random)
# Encrypts the gossip of the Consul agents. An agent keeps the first one it was started with.
CONSUL_GOSSIP_KEY=$(random)
ENV
echo "wrote $file"
