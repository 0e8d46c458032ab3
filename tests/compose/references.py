"""Checks that whatever the Compose file refers to is there. Each gives a list of complaints."""

from __future__ import annotations

import fnmatch
import json
import re
from collections import Counter
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import jsonschema
from check_jsonschema.builtin_schemas import get_builtin_schema

from tests.compose.project import Project


def follows_schema(project: Project) -> list[str]:
    """The schema of the Compose specification."""
    schema = get_builtin_schema("vendor.compose-spec")
    validator = jsonschema.validators.validator_for(schema)(schema)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(project.compose)]


def paths_exist(project: Project) -> list[str]:
    """Host paths that are mounted, Dockerfiles, and what these copy."""
    mounted = {
        volume.split(":")[0] for each in project.services.values() for volume in each.get("volumes", ())
        if volume.startswith((".", "/", "~"))
    }  # fmt: skip
    built = {each["build"]["dockerfile"] for each in project.services.values() if "build" in each}
    paths = mounted | built | {path for copied in project.copied.values() for path in copied}
    return [f"{path} does not exist" for path in sorted(paths) if not (project.root / path).exists()]


def copied_paths_reach_the_builder(project: Project) -> list[str]:
    """.dockerignore lets through what the Dockerfiles copy, and no file of secrets."""
    patterns = (project.root / ".dockerignore").read_text().splitlines()

    def is_ignored(path: str) -> bool:
        ignored = False
        for pattern in patterns:
            negated = pattern.startswith("!")
            whole = pattern.lstrip("!")
            if any(fnmatch.fnmatch(start, whole) for start in _starts(path)):
                ignored = not negated
        return ignored

    paths = {path for copied in project.copied.values() for path in copied}
    found = [f"{path} is copied, and ignored by .dockerignore" for path in sorted(paths) if is_ignored(path)]
    return found + [".env reaches the builder" for _ in (1,) if not is_ignored(".env")]


def variables_are_made(project: Project) -> list[str]:
    """Each variable is one that docker/make-env.sh writes, and the other way round; none has a default."""
    (project.root / ".made").unlink(missing_ok=True)
    made = set(project.make_env(project.root / ".made"))
    used = set(re.findall(r"(?<!\$)\$\{?(\w+)", project.text))
    required = set(re.findall(r"(?<!\$)\$\{(\w+):\?[^}]+\}", project.text))
    return [
        *(f"${name} is used, and docker/make-env.sh does not write it" for name in sorted(used - made)),
        *(f"${name} is written by docker/make-env.sh, and not used" for name in sorted(made - used)),
        *(f"${name} may be missing without a word" for name in sorted(used - required)),
        *(f"${name} may be missing without a word" for name in re.findall(r"\$\{(\w+)(?!:\?)[^\w]", project.text)),
    ]


def volumes_and_networks_are_declared(project: Project) -> list[str]:
    """What services use, and nothing else; what a mount hides does not come twice in a service."""
    found = []
    for kind in ("volumes", "networks"):
        used = {
            name for each in project.services.values() for name in _names(each.get(kind, ()))
            if not name.startswith((".", "/", "~"))
        }  # fmt: skip
        declared = set(project.compose[kind])
        found += [f"{name} is not declared in {kind}" for name in sorted(used - declared)]
        found += [f"{name} is declared in {kind}, and not used" for name in sorted(declared - used)]
    return found


def hosts_exist(project: Project) -> list[str]:
    """Names of hosts in URLs and configurations are services, or aliases, on a network that both are on."""
    found = []
    for name, each in project.services.items():
        texts = [str(value) for value in each.get("environment", {}).values()]
        # A variable in a URL may hold characters that end the host for a parser.
        urls = [re.sub(r"\$\{[^}]*\}", "x", text) for text in texts]
        hosts = {urlsplit(url).hostname for url in urls if re.match(r"[a-z0-9+]+://", url)}
        hosts |= {json.loads(text)["host"] for text in texts if text.startswith('{"conn_type"')}
        if name in project.nodes:
            hosts |= _retry_join(project, "docker/node/agent.hcl")
        if name in project.consul_servers:
            hosts |= _retry_join(project, "docker/consul/server.hcl")
        reachable = {"localhost"}
        for other, their in project.services.items():
            shared = set(_names(their["networks"])) & set(_names(each["networks"]))
            reachable |= {other for _ in shared} | {alias for net in shared for alias in _aliases(their, net)}
        found += [f"{name} names host {host}, which it cannot reach" for host in sorted(hosts - reachable)]
    return found


def servers_expect_each_other(project: Project) -> list[str]:
    """As many Consul servers as they expect, each under its own name."""
    text = (project.root / "docker/consul/server.hcl").read_text()
    (expected,) = re.findall(r"bootstrap_expect *= *(\d+)", text)
    found = [f"server {name} has another name" for name, each in project.consul_servers.items()
             if f"-node={name}" not in each["command"].split()]  # fmt: skip
    if int(expected) != len(project.consul_servers):
        found.append(f"{expected} servers are expected, and there are {len(project.consul_servers)}")
    return found


def agents_keep_their_addresses(project: Project) -> list[str]:
    """Each server and each node has an address of its own, which the network gives to nobody else."""
    (config,) = project.compose["networks"]["fleet"]["ipam"]["config"]
    subnet, given = ip_network(config["subnet"]), ip_network(config["ip_range"])
    found = [] if given.subnet_of(subnet) else [f"{given} is not in {subnet}"]
    agents = {**project.consul_servers, **project.nodes}
    addresses = {name: _address(each, "fleet") for name, each in agents.items()}
    for name, address in addresses.items():
        if address is None or list(addresses.values()).count(address) > 1:
            found.append(f"{name} has no address of its own")
        elif ip_address(address) not in subnet or ip_address(address) in given:
            found.append(f"{name} cannot have {address}: it is for others")
    return found


def profiles_are_taken_down(project: Project) -> list[str]:
    """`docker compose down` leaves the services of a profile running unless it is named; the README names it."""
    profiles = {profile for each in project.services.values() for profile in each.get("profiles", ())}
    readme = (project.root / "README.md").read_text()
    return [f"README.md does not take profile {name} down" for name in sorted(profiles)
            if f"docker compose --profile {name} down --volumes" not in readme]  # fmt: skip


def nodes_can_converge(project: Project) -> list[str]:
    """Each node has its own name and volume, a tier that has a recipe, and the environment of the example Dag."""
    dag = (project.root / "dags" / "phase2_declarative_rollout.py").read_text()
    found = []
    for name, each in project.nodes.items():
        environment = each["environment"]
        if environment["NODE_NAME"] != name:
            found.append(f"{name} is named {environment['NODE_NAME']}")
        if not (project.root / "cookbooks" / "shop" / "recipes" / f"{environment['NODE_TIER']}.rb").exists():
            found.append(f"{name}: there is no recipe for tier {environment['NODE_TIER']}")
        if f'transition("{environment["NODE_ENVIRONMENT"]}"' not in dag:
            found.append(f"{name}: no Dag rolls out environment {environment['NODE_ENVIRONMENT']}")
        if f"{name}:/var/lib/node" not in each["volumes"]:
            found.append(f"{name} would lose its identity in Consul: it needs a volume of its own at /var/lib/node")
    tiers = Counter(each["environment"]["NODE_TIER"] for each in project.nodes.values())
    return found + [f"there is no node of tier {tier}" for tier in ("web", "app", "db") if not tiers[tier]]


def _starts(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _names(listed: Any) -> list[str]:
    return [name.split(":")[0] for name in listed]


def _aliases(service: dict[str, Any], network: str) -> list[str]:
    networks = service["networks"]
    return networks[network].get("aliases", []) if isinstance(networks, dict) else []


def _address(service: dict[str, Any], network: str) -> str | None:
    networks = service["networks"]
    return networks[network].get("ipv4_address") if isinstance(networks, dict) else None


def _retry_join(project: Project, path: str) -> set[str]:
    (names,) = re.findall(r"retry_join *= *\[(.*)\]", (project.root / path).read_text())
    return set(json.loads(f"[{names}]"))
