"""What is imported where Airflow forks tasks, and that it is enough for a transition and harmless before a fork."""

from __future__ import annotations

import subprocess
import sys

import consul

from airflow_provider_chefconsul.consul.keys import DEFAULT_ROOT
from tests.support.factory import make_desired, make_report
from tests.support.raw_keys import RawKeys

STARTING = "from airflow.jobs.job import Job\nJob()"
"""What the scheduler, the Dag processor and the triggerer do before they fork."""
TASK = """
from airflow.sdk.execution_time.task_runner import TaskRunnerMarker
from airflow.sdk.listener import get_listener_manager
get_listener_manager().hook.on_starting(component=TaskRunnerMarker())
"""
COUNT = "(threading.active_count(), psutil.Process().num_fds(), asyncio.get_event_loop_policy()._local._loop)"
TRANSITION = """
from airflow_provider_chefconsul import ConsulExecChefOperator, ConvergedSensor, ConvergencePolicy
from airflow_provider_chefconsul import SetDesiredStateOperator, TransitionOperator, TransitionsOperator
own, where = make_context(), {"environment": "demo", "tier": "web"}
values, policy = {"release": "2.5.0"}, ConvergencePolicy()
declare = SetDesiredStateOperator(task_id="a", state="converged", values=values, wait=policy, **where)
assert declare.execute(own) == {"web": 7}
assert TransitionOperator(task_id="d", state="converged", values=values, **where).execute(own) == {"web": 7}
steps = [("web", "converged")]
assert TransitionsOperator(task_id="e", environment="demo", steps=steps, values=values).execute(own) == {"web": 7}
nudge = ConsulExecChefOperator(task_id="b", command="true", all_nodes=True, **where)
assert nudge.execute(own) == {"web-1": 0}
assert ConvergedSensor(task_id="c", policy=policy, **where).execute(own)["web"]["counts"] == {"converged": 1}
"""


def run(program: str) -> list[str]:
    """What a process of its own prints as its last line; words become a list."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()


def test_components_that_fork_import_what_tasks_use():
    """The public names, and the adapter with its client, but neither the board nor a library for SSH."""
    loaded = set(run(f"import sys\n{STARTING}\nprint(*sys.modules)"))
    ours = "airflow_provider_chefconsul"
    assert {f"{ours}.operators.desired_state", f"{ours}.consul.http.client", f"{ours}.consul.wait", "httpx"} <= loaded
    late = {"domain.event.convergence_event", "domain.explanation.drift", "domain.write.rollback", "triggers.lease"}
    assert {f"{ours}.{name}" for name in late} <= loaded
    assert not {f"{ours}.ui.app", f"{ours}.cli.commands", "asyncssh", "paramiko"} & loaded


def test_a_task_imports_only_what_it_uses():
    """Airflow calls the same hook in each task's process, whatever the task is."""
    loaded = run(f"import sys\n{TASK}\nprint(*sys.modules)")
    assert "airflow_provider_chefconsul.preload" in loaded
    assert "airflow_provider_chefconsul.operators.desired_state" not in loaded


def test_nothing_is_started_before_the_fork():
    """A thread or an event loop would not be in the child, an open file would be shared with it."""
    program = f"import asyncio, psutil, threading\nimport airflow.jobs.job\nbefore = {COUNT}\n"
    assert run(f"{program}{STARTING}\nassert {COUNT} == before, {COUNT}\nprint(before[2])") == ["None"]


def test_a_transition_imports_nothing_more(make_cluster):
    """Else each task would import it again."""
    cluster = make_cluster(web=1)
    keys = RawKeys(consul.Consul(host="127.0.0.1", port=cluster.http_port), DEFAULT_ROOT)
    keys["demo/web/desired"] = make_desired(7).to_json()
    keys["demo/web/nodes/web-1"] = make_report("web-1").to_json()
    url = f"consul://127.0.0.1:{cluster.http_port}"
    begin = (
        "import os, sys\nfrom tests.support.airflow_home import make_context\nmake_context()\n"
        f"os.environ['AIRFLOW_CONN_CONSUL_DEFAULT'] = {url!r}\n"
    )
    shown = "print('found', *sorted(set(sys.modules) - before))"
    found = run(f"{begin}{STARTING}\nbefore = set(sys.modules)\n{TRANSITION}\n{shown}")[1:]
    not_ours = sys.stdlib_module_names | {"airflow"}  # what Airflow needs is in its workers already
    assert [name for name in found if name.partition(".")[0] not in not_ours] == []
