"""What a run of a real chef-client reports: success, each kind of failure, and nothing in a why-run."""

from __future__ import annotations

import json
import re
from datetime import datetime

import pytest

from airflow_provider_chefconsul.domain.model.report import Status
from tests.cookbooks.trial import finish
from tests.support.peer import Answer, Peer, forward_to


def test_success(trial, gate):
    """A run reports `running`, then its outcome, with the generation that it compiled, not the newest."""
    release = trial.directory / "release"
    trial.recipe(f"""
        desired_state('web') do |on|
          on.state('off') {{ raise 'the wrong block' }}
          on.state('waiting', 'converged') do |want|
            file '{release}' do
              content want.values.fetch('release')
            end
            ruby_block('gate') {{ block {{ {gate.ruby} }} }}
          end
        end
    """)
    trial.desire(7)
    run = trial.node().start()
    gate.wait()
    running = trial.report()
    trial.desire(8)
    gate.open()
    assert finish(run).code == 0
    done = trial.report()
    assert release.read_text() == "2.5.0"
    assert (running.generation, running.state, running.status, running.finished_at) == (
        7, "converged", Status.RUNNING, None,
    )  # fmt: skip
    assert (done.node, done.tier, done.generation, done.state, done.status) == (
        "web-1", "web", 7, "converged", Status.SUCCEEDED,
    )  # fmt: skip
    assert (done.source, done.updated_resources, done.error) == ("consul", 2, None)
    assert re.fullmatch(r"(chef|cinc) \d+\.\d+\.\d+", done.client)
    assert (done.run_id, done.started_at) == (running.run_id, running.started_at)
    assert datetime.fromisoformat(done.started_at) <= datetime.fromisoformat(str(done.finished_at))


def test_resource_that_fails(trial):
    """The innermost nested resource is blamed, with its own error."""
    trial.write("resources/outer.rb", """
        provides :outer
        unified_mode true
        action :run do
          ruby_block('inner') { block { raise IOError, 'the disk is full' } }
        end
    """)  # fmt: skip
    trial.recipe("desired_state('web') { |on| on.state('converged') { outer 'one' } }")
    trial.desire()
    ran = trial.node().converge()
    report = trial.report()
    assert ran.code == 1
    assert (report.status, report.generation, report.state) == (Status.FAILED, 7, "converged")
    assert (report.error.kind, report.error.resource) == ("IOError", "ruby_block[inner]")
    assert "the disk is full" in report.error.message


def test_recipe_that_does_not_compile(trial):
    """The error names the file of the recipe that raises."""
    trial.recipe("desired_state('web') { |on| on.state('converged') { raise ArgumentError, 'no such thing' } }")
    trial.desire()
    ran = trial.node().converge()
    report = trial.report()
    assert ran.code == 1
    assert (report.status, report.generation, report.updated_resources) == (Status.FAILED, 7, 0)
    assert (report.error.kind, report.error.message) == ("ArgumentError", "no such thing")
    assert re.fullmatch(r"recipe \S+/trial/recipes/default\.rb", report.error.resource)


@pytest.mark.parametrize("resource", ["desired_state_trigger", "desired_state_install", "desired_state_fallback"])
def test_resource_that_does_not_run_on_windows(trial, resource):
    """It is refused while the recipe compiles, in words that the report has, before anything has changed."""
    release = trial.directory / "release"
    trial.recipe(f"""
        node.automatic['platform_family'] = 'windows'
        desired_state('web') {{ |on| on.state('converged') {{ file('{release}') }} }}
        {resource} 'x'
    """)
    trial.desire()
    ran = trial.node().converge()
    report = trial.report()
    assert (ran.code, report.status, report.generation) == (1, Status.FAILED, 7)
    assert report.error.kind == "DesiredState::UnsupportedPlatform"
    assert report.error.message.startswith(f"{resource}[x] does not run on Windows; put `unless windows?` behind it")
    assert not release.exists()


def test_state_that_the_recipe_does_not_know(trial):
    """A state without a block fails the run, which still reports the generation that it read."""
    trial.recipe("desired_state('web') { |on| on.state('off', 'waiting') { raise 'the wrong block' } }")
    trial.desire()
    ran = trial.node().converge()
    report = trial.report()
    assert ran.code == 1
    assert (report.status, report.generation, report.state) == (Status.FAILED, 7, "converged")
    assert report.error.kind == "DesiredState::UnknownState"
    assert "assigned state converged" in report.error.message
    assert "only for: off, waiting" in report.error.message


@pytest.mark.parametrize(
    ("document", "kind", "words"),
    [
        ('{"schema": 1, "generation": 7}', "MalformedDocument", "field written_by is missing"),
        ('{"schema": 2}', "UnknownSchema", "schema 2 is unknown, this version knows schema 1"),
        (None, "NoDesiredState", "does not exist: declare the tier's desired state"),
    ],
)
def test_desired_state_that_cannot_be_used(trial, consul_root, document, kind, words):
    """A missing, malformed or newer desired state fails the run; the error names the key, the generation is null."""
    trial.recipe("desired_state('web')\nfile('/nowhere/at/all')")
    if document is not None:
        trial.keys["demo/web/desired"] = document
    ran = trial.node().converge()
    report = trial.report()
    assert ran.code == 1
    assert (report.status, report.generation, report.state) == (Status.FAILED, None, None)
    assert report.error.kind == f"DesiredState::{kind}"
    assert f"{consul_root}/demo/web/desired" in report.error.message
    assert words in report.error.message


def test_default_of_a_tier_that_was_never_declared(trial):
    """The default is a state at generation 0, with source `default`."""
    trial.recipe("desired_state('web', default: 'off') { |on| on.state('off') { |want| log want.values.inspect } }")
    ran = trial.node().converge()
    report = trial.report()
    assert ran.code == 0
    assert (report.generation, report.state, report.source) == (0, "off", "default")
    assert report.status is Status.SUCCEEDED


def test_names_are_refused_before_any_request(trial, cluster):
    """A tier or node that would lead to another key never reaches Consul."""
    trial.recipe("""
        ['web/1', 'web 1', '../web', '', nil, "web\\n"].each do |tier|
          desired_state(tier, default: 'off')
        rescue DesiredState::InvalidInput => e
          Chef::Log.warn("refused: #{e.message}")
        else
          raise "#{tier.inspect} was taken"
        end
    """)
    with Peer(forward_to(cluster.http_port)) as peer:
        url = f"http://127.0.0.1:{peer.port}"
        tiers = trial.node(consul_url=url).converge()
        trial.recipe("desired_state('web', default: 'off')")
        node = trial.node("web-2", consul_url=url, node_name="web/2").converge()
    assert (tiers.code, tiers.output.count("refused: tier ")) == (0, 6), tiers.output
    assert node.code == 1
    assert 'node "web/2" is not a name' in node.output
    assert peer.requests == []


def test_refused_token_is_no_missing_key(trial):
    """If Consul refuses the read, neither the default nor the last known state is used."""
    trial.recipe("desired_state('web', default: 'off', on_unavailable: :last_known)")
    trial.desire()
    node = trial.node()
    assert node.converge().code == 0
    with Peer(lambda request: Answer(403, "Permission denied", {})) as peer:
        node.settings["consul_url"] = f"http://127.0.0.1:{peer.port}"
        ran = node.converge()
    assert ran.code == 1
    assert "DesiredState::AccessDenied" in ran.output
    assert "refused GET" in ran.output
    assert "Permission denied" in ran.output


def test_why_run_writes_nothing(trial, cluster):
    """A why-run reads, and sends Consul nothing: no report, no lock, no session, no mark."""
    trial.recipe("""
        desired_state('web') do |on|
          on.state('converged') do
            desired_state_once 'migrate' do
              tier 'web'
              version 1
              body { raise 'a why-run does nothing' }
            end
            desired_state_ready 'tcp://127.0.0.1:9'
          end
        end
    """)
    trial.desire()
    before = dict(trial.keys)
    with Peer(forward_to(cluster.http_port)) as peer:
        ran = trial.node(consul_url=f"http://127.0.0.1:{peer.port}").converge("--why-run")
    assert ran.code == 0, ran.output
    assert dict(trial.keys) == before
    assert {request.method for request in peer.requests} == {"GET"}


def test_two_tiers_on_one_node(trial):
    """Each tier gets its own report with its generation and the run's outcome."""
    trial.recipe("""
        desired_state('db') { |on| on.state('converged') { |want| log want.to_s } }
        desired_state('web') { |on| on.state('off') { ruby_block('stop') { block { raise 'it hangs' } } } }
    """)
    trial.desire(7, tier="db")
    trial.desire(12, "off")
    ran = trial.node("one").converge()
    db, web = trial.report("one", "db"), trial.report("one", "web")
    assert ran.code == 1
    assert (db.generation, db.state, db.status) == (7, "converged", Status.FAILED)
    assert (web.generation, web.state, web.status) == (12, "off", Status.FAILED)
    assert db.error == web.error
    assert web.error.resource == "ruby_block[stop]"


def test_reboot_that_was_requested(trial):
    """A run that requests a reboot is neither a success nor a failure. Nothing here reboots."""
    trial.recipe("""
        rebooter = Chef::Platform::Rebooter
        def rebooter.reboot_if_needed!(_node)
          raise Chef::Exceptions::Reboot, 'nothing reboots, this is a test'
        end
        def rebooter.reboot!(_node)
          raise 'never'
        end
        stubbed = %i(reboot! reboot_if_needed!).all? { |m| rebooter.method(m).source_location[0] == __FILE__ }
        raise 'this would reboot the machine' unless stubbed

        desired_state('web')
        run_context.request_reboot(delay_mins: 9999, reason: 'a test')
    """)
    trial.desire()
    ran = trial.node().converge()
    report = trial.report()
    assert "nothing reboots, this is a test" in ran.output
    assert ran.code == 35
    assert (report.status, report.generation, report.error) == (Status.REBOOTING, 7, None)


def test_early_failures(trial):
    """desired_state_fallback reports them under the node, and reports other failures no second time."""
    node = trial.node()
    early = "demo/_nodes/web-1"
    trial.recipe(f"""
        desired_state_fallback '{node.home}/client.d/desired_state.rb' do
          lib_dir '{node.home}/lib'
          settings_path '{node.home}/settings.json'
        end
        desired_state('web')
    """)
    trial.desire()
    assert node.converge().code == 0
    trial.recipe("desired_state('web')\nraise 'a late failure'")
    assert node.converge().code == 1
    assert trial.report().error.message == "a late failure"
    assert early not in trial.keys

    trial.write("libraries/broken.rb", "def broken(\n")
    assert node.converge("--why-run").code == 1
    assert early not in trial.keys
    assert node.converge().code == 1
    syntax = json.loads(trial.keys[early])
    assert (syntax["node"], syntax["status"], syntax["schema"]) == ("web-1", "failed", 1)
    assert syntax["error"]["class"] == "SyntaxError"
    assert "libraries/broken.rb" in syntax["error"]["message"]
    assert syntax.get("generation") is None

    trial.write("libraries/broken.rb", "")
    trial.write("attributes/default.rb", "raise KeyError, 'no such attribute'")
    assert node.converge().code == 1
    attribute = json.loads(trial.keys[early])
    assert attribute["error"]["class"] == "KeyError"
    assert "no such attribute" in attribute["error"]["message"]
    assert attribute["run_id"] != syntax["run_id"]

    node.attributes["run_list"] = ["recipe[nowhere]"]
    assert node.converge().code == 1
    missing = json.loads(trial.keys[early])
    assert missing["run_id"] != attribute["run_id"]
    assert missing["error"]["message"].endswith(": No such cookbook: nowhere")
    assert trial.report().error.message == "a late failure"
