"""SSHChefOperator: whom it chooses, and what it says of them. A real sshd runs the commands."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_chefconsul.exceptions import ChefConsulError, InvalidInput, NoDesiredState, NoMembers
from airflow_provider_chefconsul.operators.chef import SSHChefOperator
from tests.support.airflow_home import make_context, run_trigger
from tests.support.factory import make_desired, make_failure, make_report
from tests.support.ssh_fixtures import DOWN, HOSTS, write_key

NODES = tuple(HOSTS)


@pytest.fixture
def keys(consul_connection, consul_kv, ssh_connection, ssh_hosts):
    """The test's keys, with a desired state of four web nodes, which both default connections reach."""
    ssh_hosts(*NODES)
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    return consul_kv


@pytest.fixture(params=["blocking", "deferred"])
def nudge(request, keys, monkeypatch):
    """Run the operator to its end: in the worker, or by its trigger after a detour through the database."""
    is_deferred = request.param == "deferred"
    if is_deferred:
        monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(milliseconds=1))

    def run(**overrides):
        defaults = {"task_id": "nudge", "environment": "demo", "tier": "web", "command": "true"}
        operator = SSHChefOperator(**defaults | overrides, deferrable=is_deferred)
        if not is_deferred:
            return operator.execute(make_context())
        with pytest.raises(TaskDeferred) as deferred:
            operator.execute(make_context())
        event = asyncio.run(run_trigger(deferred.value.trigger))
        return getattr(operator, deferred.value.method_name)(make_context(), event)

    return run


def test_exit_codes_and_output(nudge, tmp_path, capsys):
    """Each node's own exit code; the log says which command failed where, and what was printed."""
    command = f"set -- $SSH_CONNECTION; echo ran >>{tmp_path}/$3; echo the disk is full; exit $(( ${{3##*.}} - 2 ))"
    assert nudge(command=command) == {"web-1": 0, "web-2": 1, "web-3": 2, "web-4": 3}
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(HOSTS.values(), "ran\n")
    printed = capsys.readouterr().out.replace("\\n", "\n")
    assert "exited with 3\nthe disk is full" in printed
    assert "web-1:" not in printed


def test_only_members_that_have_not_converged_are_nudged(nudge, keys):
    """A retry touches only the rest; all_nodes touches everyone."""
    for node in ("web-1", "web-2"):
        keys[f"demo/web/nodes/{node}"] = make_report(node).to_json()
    keys["demo/web/nodes/web-3"] = make_failure("web-3").to_json()
    assert nudge() == {"web-3": 0, "web-4": 0}
    assert nudge(all_nodes=True) == dict.fromkeys(NODES, 0)
    assert nudge(members=["web-2", "web-4"]) == {"web-4": 0}
    assert nudge(members=["web-2", "web-4"], generation=7, all_nodes=True) == {"web-2": 0, "web-4": 0}


def test_nothing_is_left_to_nudge(keys):
    """When all have converged, nobody is connected to."""
    for node in NODES:
        keys[f"demo/web/nodes/{node}"] = make_report(node).to_json()
    assert SSHChefOperator(task_id="nudge", environment="demo", tier="web").execute(make_context()) == {}


def test_tier_without_a_desired_state(nudge, keys, tmp_path):
    """It is an error, unless whatever is present is to be touched, whatever is desired."""
    del keys["demo/web/desired"]
    with pytest.raises(NoDesiredState, match="demo/web has no desired state yet"):
        nudge()
    assert nudge(all_nodes=True) == dict.fromkeys(NODES, 0)


def test_absent_and_missing_members(nudge, members):
    """A member whose agent is not alive is not nudged; a tier without members is an error."""
    members("web-9", check="critical")
    assert "web-9" not in nudge()
    with pytest.raises(NoMembers, match="demo/app has no members"):
        nudge(tier="app")


def test_node_that_is_down_stops_nobody(nudge, ssh_hosts, capsys):
    """Where nobody listens the node is unacknowledged, and the log says why."""
    ssh_hosts("web-5", address=DOWN)
    ssh_hosts("web-6", address="not a host")
    expected = {**dict.fromkeys(NODES, 0), "web-5": "unacknowledged", "web-6": "unacknowledged"}
    assert nudge() == expected
    printed = capsys.readouterr().out
    assert f"web-5: no answer; {DOWN}: [Errno 111] Connect call failed" in printed
    assert "web-6: no answer; its address 'not a host' is neither a host name nor an IP address" in printed


@pytest.mark.parametrize("extra", [{"known_hosts": "/dev/null"}, {"known_hosts": "OTHER"}, {"host_key": "OTHER"}])
def test_unknown_host_key_is_refused(nudge, ssh_connection, sshd, tmp_path, capsys, extra):
    """An unknown key, or another one than is known: nothing is run, and the log says why."""
    other = write_key(tmp_path / "other")
    known = tmp_path / "known_hosts"
    known.write_text("".join(f"[{address}]:{sshd.port} {other}\n" for address in HOSTS.values()))
    given = {"known_hosts": str(known), "host_key": other}
    ssh_connection(**{name: given[name] if value == "OTHER" else value for name, value in extra.items()})
    assert nudge(command=f"touch {tmp_path}/ran") == dict.fromkeys(NODES, "unacknowledged")
    assert "web-1: no answer; 127.0.0.2: Host key is not trusted for host 127.0.0.2" in capsys.readouterr().out
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("extra", [{}, {"no_host_key_check": False}])
def test_host_keys_are_checked_unless_told_otherwise(keys, ssh_connection, monkeypatch, tmp_path, extra):
    """Without known hosts anywhere nobody is trusted; an explicit extra lets the command in."""
    monkeypatch.setenv("HOME", str(tmp_path))
    operator = SSHChefOperator(task_id="nudge", environment="demo", tier="web", command="true")
    ssh_connection(known_hosts=None, **extra)
    assert operator.execute(make_context()) == dict.fromkeys(NODES, "unacknowledged")
    ssh_connection(known_hosts=None, no_host_key_check=True)
    assert operator.execute(make_context()) == dict.fromkeys(NODES, 0)


def test_known_hosts_of_the_user_and_host_key_of_the_connection(keys, ssh_connection, sshd, monkeypatch, tmp_path):
    """Both ways to say which host key to trust do without a path in the connection."""
    operator = SSHChefOperator(task_id="nudge", environment="demo", tier="web", command="true")
    ssh_connection(known_hosts=None, host_key=sshd.host_key)
    assert operator.execute(make_context()) == dict.fromkeys(NODES, 0)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(sshd.known_hosts.read_text())
    ssh_connection(known_hosts=None)
    assert operator.execute(make_context()) == dict.fromkeys(NODES, 0)


def test_wrong_key(nudge, ssh_connection, tmp_path, capsys):
    """A node that does not let us in is unacknowledged."""
    write_key(tmp_path / "wrong")
    ssh_connection(key_file=str(tmp_path / "wrong"))
    assert nudge(command=f"touch {tmp_path}/ran") == dict.fromkeys(NODES, "unacknowledged")
    assert "Permission denied for user" in capsys.readouterr().out
    assert not (tmp_path / "ran").exists()


def test_command_that_hangs_is_silent(nudge, tmp_path, capsys):
    """At the deadline the results there are come back; the others have ended by then."""
    command = f"""
        set -- $SSH_CONNECTION; [ $3 = {HOSTS["web-2"]} ] || exit 0
        for i in $(seq 600); do [ -e {tmp_path}/end ] && exit; sleep 0.1; done
    """
    assert nudge(command=command, timeout=timedelta(seconds=6)) == {**dict.fromkeys(NODES, 0), "web-2": "silent"}
    (tmp_path / "end").touch()
    assert "web-2: began" in (printed := capsys.readouterr().out)
    assert "has not said how it ended (the command had not ended by the deadline)" in printed


def test_never_more_than_max_parallel(nudge, tmp_path):
    """Counted by what the commands write; the first two wait for each other, so two do run at once."""
    log = tmp_path / "log"
    command = f"echo + >>{log}; until [ $(grep -c + {log}) -ge 2 ]; do sleep 0.1; done; sleep 0.1; echo - >>{log}"
    assert nudge(command=command, max_parallel=2) == dict.fromkeys(NODES, 0)
    steps = log.read_text().split()
    assert len(steps) == 2 * len(NODES)
    assert max(steps[:end].count("+") - steps[:end].count("-") for end in range(len(steps) + 1)) == 2


def test_long_run_is_handed_over_to_the_triggerer(keys, monkeypatch, tmp_path):
    """What has not ended in the worker's moment goes on in the triggerer; no node runs twice, what is known stays."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(seconds=4))
    command = f"""
        set -- $SSH_CONNECTION; echo ran >>{tmp_path}/$3; [ $3 = {HOSTS["web-1"]} ] && exit 3
        while [ ! -e {tmp_path}/go ]; do sleep 0.1; done; exit 4
    """
    operator = SSHChefOperator(task_id="nudge", environment="demo", tier="web", command=command, deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(make_context())
    assert list(deferred.value.trigger.results) == ["web-1"]
    (tmp_path / "go").touch()
    event = asyncio.run(run_trigger(deferred.value.trigger))
    assert operator.execute_complete(make_context(), event) == {**dict.fromkeys(NODES, 4), "web-1": 3}
    written = {path.name: path.read_text() for path in tmp_path.iterdir() if path.name != "go"}
    assert written == dict.fromkeys(HOSTS.values(), "ran\n")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"max_parallel": 0}, "max_parallel must be a number of nodes from 1, or None, not 0"),
        ({"max_parallel": "3"}, "max_parallel must be a number of nodes from 1, or None, not '3'"),
        ({"all_nodes": "no"}, "all_nodes must be True or False, not 'no'"),
        ({"timeout": timedelta(0)}, "timeout must be a timedelta above zero"),
        ({"tier": "a/b"}, "tier 'a/b' is not a name"),
        ({"members": ["web 1"]}, "node 'web 1' is not a name"),
        ({"command": "x" * 131_000}, "cannot be started over SSH"),
        ({"command": "echo \0"}, "cannot be started"),
    ],
)
def test_bad_input(keys, wrong, words):
    """Each is one clear error, before any node is touched."""
    with pytest.raises(InvalidInput, match=words):
        SSHChefOperator(**{"task_id": "nudge", "environment": "demo", "tier": "web"} | wrong).execute(make_context())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"login": ""}, "connection ssh_default: login is missing"),
        ({"key_file": "/nowhere"}, "connection ssh_default: .*No such file or directory: '/nowhere'"),
        ({"known_hosts": "/nowhere"}, "connection ssh_default: .*No such file or directory: '/nowhere'"),
        ({"private_key": "not a key"}, "connection ssh_default: Invalid private key"),
        ({"host_key": "ssh-rsa AAAA"}, "connection ssh_default: Invalid public key"),
        ({"host_key": "ssh-rsa AAAA", "no_host_key_check": True}, "ssh_default: no_host_key_check contradicts"),
        ({"ignore_hostkey_verification": True}, "connection ssh_default: .*list the nodes' keys in known_hosts"),
    ],
)
def test_connection_that_cannot_work_is_one_error(nudge, ssh_connection, changes, words):
    """What would fail on every node alike is reported once."""
    ssh_connection(**changes)
    with pytest.raises(ChefConsulError, match=words):
        nudge()


def test_missing_extra_is_said_when_the_task_runs(nudge, monkeypatch, tmp_path):
    """Its Dag parses without asyncssh; the task names what to install, wherever it waits."""
    monkeypatch.delitem(sys.modules, "airflow_provider_chefconsul.nudge.ssh", raising=False)
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    with pytest.raises(ChefConsulError, match=r"install airflow-provider-chefconsul\[ssh\]"):
        nudge(command=f"touch {tmp_path}/ran")
    assert not (tmp_path / "ran").exists()


def test_connection_that_is_missing(keys, monkeypatch):
    """Airflow's own error names it."""
    operator = SSHChefOperator(task_id="nudge", environment="demo", tier="web", ssh_conn_id="ssh_nowhere")
    with pytest.raises(Exception, match="ssh_nowhere"):
        operator.execute(make_context())


@pytest.mark.parametrize("event", [None, {}, {"error": "", "results": {"web-1": 0}}, {"error": "", "results": []}])
def test_event_is_validated_on_resume(event):
    """What comes out of the database is not trusted to be results."""
    operator = SSHChefOperator(task_id="nudge", environment="demo", tier="web")
    with pytest.raises(ChefConsulError, match="the trigger's event is not "):
        operator.execute_complete(make_context(), event)
