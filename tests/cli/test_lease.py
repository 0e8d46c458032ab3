"""`airflow chefconsul lease`: shows the holder, and breaks the lease."""

from __future__ import annotations

import asyncio
import io
import json

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.lease import break_lease, find_lease
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.exceptions import WriteRefused
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.lease import AcquireLeaseOperator
from tests.support.airflow_home import make_context

BREAK = ("lease", "break", "demo", "--reason", "its worker burned down")


def acquire():
    """The lease of the Dag run of :func:`make_context`."""
    operator = AcquireLeaseOperator(task_id="acquire", environment="demo", reason="release 2.5.0")
    operator.execute(make_context(task_id="acquire"))


def write(state):
    """A write of that Dag run."""
    operator = SetDesiredStateOperator(task_id="set", environment="demo", tier="web", state=state, allow_empty=True)
    return operator.execute(make_context())


def test_show(airflow_chefconsul, consul_kv):
    """Free, or held: by whom, since when, why and until when."""
    ended = airflow_chefconsul("lease", "show", "demo")
    assert (ended.code, ended.out) == (0, "demo: nobody holds it, so anybody may write\n")
    assert airflow_chefconsul("lease", "show", "demo", "-o", "json").json == {"environment": "demo", "lease": None}
    acquire()
    ended = airflow_chefconsul("lease", "show", "demo")
    assert ended.out.startswith("demo: held by Dag shop_rollout, run manual__1 since ")
    assert ": release 2.5.0; it expires at " in ended.out
    lease = airflow_chefconsul("lease", "show", "demo", "-o", "json").json["lease"]
    assert (lease["dag_id"], lease["run_id"], lease["reason"]) == ("shop_rollout", "manual__1", "release 2.5.0")
    consul_kv["demo/_lease"] = "{"
    ended = airflow_chefconsul("lease", "show", "demo")
    assert ended.code == 1
    assert "demo/_lease: not JSON" in ended.err


def test_broken_lease_keeps_its_holder_out(airflow_chefconsul, consul_kv):
    """Others can write again; the former holder is refused until it acquires the lease again."""
    acquire()
    assert write("off") == {"web": 1}
    ended = airflow_chefconsul(*BREAK, "--yes")
    assert ended.code == 0
    assert "demo: broken, it was held by Dag shop_rollout, run manual__1 since " in ended.out
    assert not any(key.endswith("_lease") for key in consul_kv)
    words = "airflow chefconsul, .* took the lease of environment demo away from this Dag run at .*worker burned down"
    with pytest.raises(AirflowFailException, match=words):
        write("converged")
    assert airflow_chefconsul("set", "demo", "web", "--state", "waiting", "--without-members").code == 0
    acquire()
    write("waiting")


def test_nothing_to_break(airflow_chefconsul, consul_kv):
    """Breaking a free lease succeeds."""
    ended = airflow_chefconsul(*BREAK, "--yes")
    assert (ended.code, ended.out) == (0, "demo: nobody holds it, so there is nothing to break\n")
    assert not consul_kv
    assert airflow_chefconsul(*BREAK, "--yes", "-o", "json").json == {"environment": "demo", "broken": None}


@pytest.mark.parametrize("words", [("lease", "show", "demo"), (*BREAK, "--yes")])
def test_lease_that_cannot_be_read_says_what_to_do(airflow_chefconsul, consul_kv, words):
    """It blocks all writes, and its holder is unknown."""
    consul_kv["demo/_lease"] = "junk"
    ended = airflow_chefconsul(*words)
    assert ended.code == 1
    assert "/demo/_lease: not JSON" in ended.err
    assert ended.err.endswith("; delete this key when no rollout is going on\n")


class Terminal(io.StringIO):
    """A fake terminal on standard input."""

    def isatty(self):
        """Someone can be asked."""
        return True


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("Yes", 0), ("", 4), ("n", 4), ("later", 4)])
def test_confirmation(airflow_chefconsul, consul_kv, monkeypatch, answer, code):
    """Only yes is yes; the question names the holder."""
    acquire()
    before = dict(consul_kv)
    monkeypatch.setattr("sys.stdin", Terminal(f"{answer}\n"))
    ended = airflow_chefconsul(*BREAK)
    assert ended.code == code
    assert "demo is held by Dag shop_rollout, run manual__1" in ended.err
    assert (dict(consul_kv) == before) is (code == 4)


def test_nobody_to_ask(airflow_chefconsul, consul_kv, monkeypatch):
    """A script must pass --yes."""
    acquire()
    before = dict(consul_kv)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    ended = airflow_chefconsul(*BREAK)
    assert ended.code == 2
    assert "breaking a lease needs confirmation, but there is no terminal to ask on; pass --yes" in ended.err
    assert dict(consul_kv) == before


def test_lease_that_changed_meanwhile_is_not_broken(consul_connection, consul_kv, cluster, consul_root):
    """A renewal shows that the holder is alive, so the user must check again."""
    acquire()

    async def break_late():
        async with ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port, root=consul_root)) as client:
            view = SharedView(client)
            found = await find_lease(view, "demo")
            document = json.loads(consul_kv["demo/_lease"])
            consul_kv["demo/_lease"] = json.dumps(document | {"expires_at": "2036-01-01T00:00:00Z"})
            await break_lease(view, "demo", found, Writer("airflow chefconsul", "ada@vm", "lease break"), reason="late")

    with pytest.raises(WriteRefused, match="demo: the lease of Dag shop_rollout, run manual__1 was renewed, released"):
        asyncio.run(break_late())
    assert "demo/_lease" in consul_kv
    assert not any("_lost" in key for key in consul_kv)
