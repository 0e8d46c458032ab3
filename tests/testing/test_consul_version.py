"""Which Consul it is, and what its agents are therefore told."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_chefconsul.testing.consul_version import closed_ports, first_token, parse_version, version_of


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("Consul v1.8.7\nProtocol 2 spoken by default", (1, 8, 7)),
        ("Consul v1.22.0-dev (abc)", (1, 22, 0)),
        ("Consul v1.18.1+ent\nRevision 1234", (1, 18, 1)),
        ("command not found", None),
    ],
)
def test_version_is_read_from_what_consul_prints(output: str, version: tuple[int, ...] | None) -> None:
    """Every form of `consul version` gives three numbers; other text gives none."""
    assert parse_version(output) == version


@pytest.mark.parametrize(
    ("version", "is_told"),
    [((1, 8, 7), False), ((1, 13, 9), False), ((1, 14, 0), True), ((1, 22, 7), True), ((2, 0, 0), True), (None, False)],
)
def test_grpc_tls_is_closed_where_consul_knows_it(version: tuple[int, ...] | None, is_told: bool) -> None:
    """A newer server opens 8503 unless told not to; an older one refuses the name."""
    ports = closed_ports(version)
    assert ("grpc_tls" in ports) == is_told
    assert set(ports.values()) == {-1}
    assert {"dns", "grpc", "serf_wan"} <= set(ports)


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ((1, 8, 7), "master"),
        ((1, 10, 12), "master"),
        ((1, 11, 0), "initial_management"),
        ((2, 0, 0), "initial_management"),
        (None, "master"),
    ],
)
def test_first_token_has_the_versions_name(version: tuple[int, ...] | None, name: str) -> None:
    """An older agent refuses the new name; a newer one still takes the old, and warns."""
    assert first_token(version, "5ec2e7") == {name: "5ec2e7"}


def test_program_that_is_no_consul_has_no_version(tmp_path: Path) -> None:
    """Neither one that is missing nor one that says something else."""
    other = tmp_path / "consul"
    assert version_of(other) is None
    other.write_text("#!/bin/sh\necho hello\n")
    other.chmod(0o755)
    assert version_of(other) is None
