"""Runs of a real chef-client: concurrent, cut off, and started by the trigger."""

from __future__ import annotations

import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

from airflow_provider_chefconsul.domain.model.canary import bucket
from airflow_provider_chefconsul.domain.model.desired import Canary
from airflow_provider_chefconsul.domain.model.report import Status
from tests.cookbooks.trial import children_of, finish, kill, read_until
from tests.support.factory import make_assignment
from tests.support.peer import Peer, forward_to


def test_two_clients_at_once(trial, gate):
    """The second client waits for Chef's lock, and only then reads the state: the newest."""
    trial.recipe(f"want = desired_state('web')\nruby_block('gate') {{ block {{ {gate.ruby} }} }}")
    trial.desire(7)
    node = trial.node()
    first = node.start()
    gate.wait()
    second = node.start()
    read_until(second, "is running, will wait for it to finish")
    trial.desire(8)
    gate.open()
    assert finish(first).code == 0
    gate.wait()
    running = trial.report()
    gate.open()
    assert finish(second).code == 0
    assert (running.generation, running.status) == (8, Status.RUNNING)
    assert (trial.report().generation, trial.report().status) == (8, Status.SUCCEEDED)


def test_run_that_is_killed(trial, gate):
    """After a power cut the report says `running` until the next run, which nothing blocks."""
    trial.recipe(f"desired_state('web')\nruby_block('gate') {{ block {{ {gate.ruby} }} }}")
    trial.desire()
    node = trial.node()
    run = node.start()
    gate.wait()
    kill(run)
    cut = trial.report()
    trial.recipe("desired_state('web')")
    assert node.converge().code == 0
    assert (cut.status, cut.finished_at) == (Status.RUNNING, None)
    assert trial.report().status is Status.SUCCEEDED
    assert trial.report().run_id != cut.run_id


def test_run_that_is_interrupted(trial, gate):
    """A run interrupted from the keyboard reports that, and the next run reports it as previous_status."""
    trial.recipe(f"desired_state('web')\nruby_block('gate') {{ block {{ {gate.ruby} }} }}")
    trial.desire()
    node = trial.node()
    run = node.start()
    gate.wait()
    run.send_signal(signal.SIGINT)
    assert finish(run).code == 2
    assert (trial.report().status, trial.report().error.kind) == (Status.INTERRUPTED, "SystemExit")
    trial.recipe("desired_state('web')")
    assert node.converge().code == 0
    assert (trial.report().status, trial.report().previous_status) == (Status.SUCCEEDED, Status.INTERRUPTED)


def test_recipe_that_ends_the_process(trial):
    """This is a failure of the recipe, not an interruption, whatever the exit code."""
    trial.recipe("desired_state('web')\nruby_block('end') { block { exit(2) } }")
    trial.desire()
    assert trial.node().converge().code == 2
    assert (trial.report().status, trial.report().error.kind) == (Status.FAILED, "SystemExit")


def test_run_whose_unit_is_stopped(trial, gate):
    """Chef's children get SIGTERM, too: a resource fails, but not because of the release."""
    trial.recipe(f"""
        desired_state('web')
        execute 'ruby' do
          command ['ruby', '-e', %q(require 'socket'; {gate.ruby})]
        end
    """)
    trial.desire()
    run = trial.node().start()
    gate.wait()
    for pid in [run.pid, *children_of(run.pid)]:
        os.kill(pid, signal.SIGTERM)
    assert finish(run).code == 1
    report = trial.report()
    assert (report.status, report.generation, report.error.resource) == (Status.INTERRUPTED, 7, "execute[ruby]")


def test_failure_behind_a_run_that_never_ended(trial, gate):
    """After a failed run and a killed one, the report still says that the release failed."""
    trial.recipe("desired_state('web')\nraise 'the release is broken'")
    trial.desire()
    node = trial.node()
    assert node.converge().code == 1
    trial.recipe(f"desired_state('web')\nruby_block('gate') {{ block {{ {gate.ruby} }} }}")
    for _ in range(2):
        run = node.start()
        gate.wait()
        assert (trial.report().status, trial.report().previous_status) == (Status.RUNNING, Status.FAILED)
        kill(run)
    trial.recipe("desired_state('web')")
    assert node.converge().code == 0
    assert node.converge().code == 0
    assert (trial.report().status, trial.report().previous_status) == (Status.SUCCEEDED, Status.SUCCEEDED)


def test_once_on_three_nodes_at_the_same_time(trial, gate, cluster):
    """One of three nodes does the task; the others wait, and find it done."""
    done = trial.directory / "done"
    trial.recipe(f"""
        desired_state('db')
        desired_state_once 'migrate' do
          tier 'db'
          version 42
          body do
            ruby_block('migrate') {{ block {{ {gate.ruby}; File.write('{done}', node.name, mode: 'a') }} }}
          end
        end
    """)
    trial.desire(tier="db")
    names = {"db-1", "db-2", "db-3"}
    forward, asked, all_asked = forward_to(cluster.http_port), set(), threading.Event()

    def answer(request):
        if "acquire" in request.query:
            asked.add(json.loads(request.body)["node"])
            if asked == names:
                all_asked.set()
        return forward(request)

    with Peer(answer) as peer:
        runs = [trial.node(name, consul_url=f"http://127.0.0.1:{peer.port}").start() for name in sorted(names)]
        gate.wait()
        assert all_asked.wait(60)
        gate.open()
        codes = [finish(run).code for run in runs]
    mark = json.loads(trial.keys["demo/db/done/migrate/42"])
    updated = {name: trial.report(name, "db").updated_resources for name in names}
    assert codes == [0, 0, 0]
    assert done.read_text() == mark["node"]
    assert {name for name, count in updated.items() if count > 0} == {mark["node"]}
    assert trial.keys["demo/db/locks/migrate"] == ""


def test_once_is_not_done_when_what_it_notifies_fails(trial):
    """The body's delayed notifications belong to the task: it is marked as done only after them."""
    trial.recipe(f"""
        desired_state('web')
        desired_state_once 'migrate' do
          tier 'web'
          version 1
          body do
            execute('migrate') {{ command 'false'; action :nothing }}
            file('{trial.directory}/plan') {{ content '1'; notifies :run, 'execute[migrate]', :delayed }}
          end
        end
    """)
    trial.desire()
    assert trial.node().converge().code == 1
    assert trial.report().error.resource == "execute[migrate]"
    assert "demo/web/done/migrate/1" not in trial.keys
    assert trial.keys["demo/web/locks/migrate"] == ""


def test_run_that_is_left_early_has_not_succeeded(trial):
    """Chef exits with 0, but resources such as a readiness check did not run."""
    trial.recipe("""
        desired_state('web')
        ruby_block('leave') { block { throw :end_client_run_early } }
    """)
    trial.desire()
    assert trial.node().converge().code == 0
    assert (trial.report().status, trial.report().error.kind) == (Status.FAILED, "UncaughtThrowError")


def test_ready_comes_after_delayed_restarts(trial, free_port):
    """desired_state_ready, declared last, checks after delayed restarts."""
    trial.recipe(f"""
        desired_state('web')
        ruby_block 'service' do
          block {{ $server = TCPServer.new('127.0.0.1', {free_port}) }}
          action :nothing
        end
        file '{trial.directory}/config' do
          content 'new'
          notifies :run, 'ruby_block[service]', :delayed
        end
        desired_state_ready 'tcp://127.0.0.1:{free_port}' do
          timeout 0
        end
    """)
    trial.desire()
    ran = trial.node().converge()
    assert ran.code == 0, ran.output
    assert (trial.report().status, trial.report().updated_resources) == (Status.SUCCEEDED, 2)


def test_ready_that_does_not_come(trial, free_port):
    """A service that does not answer fails the run after everything else has converged."""
    last = trial.directory / "last"
    trial.recipe(f"""
        desired_state('web')
        desired_state_ready 'http://127.0.0.1:{free_port}/' do
          timeout 0.2
          interval 0.1
        end
        file '{last}'
    """)
    trial.desire()
    ran = trial.node().converge()
    report = trial.report()
    assert ran.code == 1
    assert last.exists()
    assert (report.status, report.error.kind) == (Status.FAILED, "DesiredState::NotReady")
    assert report.error.resource == f"desired_state_ready[http://127.0.0.1:{free_port}/]"
    assert "was not ready within 0.2 s; last problem: Errno::ECONNREFUSED" in report.error.message


def test_installed_trigger(trial):
    """The installed trigger works outside Chef, and runs Chef only if this node has to."""
    node = trial.node()
    trial.recipe(f"""
        desired_state_install '{node.home}/lib' do
          settings_path '{node.home}/settings.json'
        end
        desired_state('web')
    """)
    trial.desire(7)
    assert node.converge().code == 0

    def trigger():
        return finish(
            node.start_trigger(
                *node.command(), program=node.home / "lib" / "trigger.rb", settings=node.home / "settings.json"
            )
        )

    assert (node.home / "lib" / "trigger.rb").exists()
    first = trial.report()
    idle = trigger()
    assert idle.code == 0
    assert "every assignment has been reported as succeeded" in idle.output

    others = Canary(make_assignment(8), salt="8", threshold=bucket("8", "web-1"), nodes=("web-2", "web-3"))
    trial.desire(8, stable=make_assignment(7), canary=others)
    assert trigger().code == 0
    assert trial.report() == first

    mine = Canary(make_assignment(8), salt="8", threshold=bucket("8", "web-1") + 1, nodes=("web-2", "web-3"))
    trial.desire(8, stable=make_assignment(7), canary=mine)
    assert trigger().code == 0
    assert (trial.report().generation, trial.report().status) == (8, Status.SUCCEEDED)


def test_ten_triggers_at_once(trial, gate):
    """A burst of triggers makes one run and one more, and the last one reads the newest state."""
    compiled = trial.directory / "compiled"
    trial.recipe(f"""
        want = desired_state('web')
        File.write('{compiled}', "#{{want.generation}}\\n", mode: 'a')
        {gate.ruby}
    """)
    trial.desire(1)
    node = trial.node()
    settings = node.home / "settings.json"
    settings.write_text(json.dumps(node.settings))
    triggers = []
    for generation in range(1, 11):
        trial.desire(generation)
        triggers.append(node.start_trigger(*node.command(), settings=settings))
    gate.wait()
    with ThreadPoolExecutor(len(triggers)) as pool:
        ends = as_completed([pool.submit(finish, trigger) for trigger in triggers], timeout=60)
        waited = [next(ends).result() for _ in range(8)]
        trial.desire(11)
        gate.open()
        gate.wait()
        gate.open()
        ran = [end.result() for end in ends]
    assert [run.code for run in waited] == [0] * 8
    assert all("another trigger is already waiting" in run.output for run in waited)
    assert [run.code for run in ran] == [0, 0]
    assert len(compiled.read_text().split()) == 2
    assert compiled.read_text().split()[-1] == "11"
    assert (trial.report().generation, trial.report().status) == (11, Status.SUCCEEDED)
