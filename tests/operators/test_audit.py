"""DriftAuditOperator against a real Consul."""

from __future__ import annotations

import json

import pytest

from airflow_provider_chefconsul.exceptions import AccessDenied, Drifted, InvalidInput
from airflow_provider_chefconsul.operators.audit import DriftAuditOperator
from tests.support.airflow_home import connect, make_context
from tests.support.factory import make_desired, make_failure, make_report


def audit(**overrides):
    """The operator's result, and what it pushed."""
    context = make_context()
    operator = DriftAuditOperator(task_id="audit", **overrides)
    return operator.execute(context)


def declare(keys, members, environment: str, *reports) -> None:
    """A tier web with its desired state and reports."""
    members(*(report.node for report in reports))
    keys[f"{environment}/web/desired"] = make_desired().to_json()
    for report in reports:
        keys[f"{environment}/web/nodes/{report.node}"] = report.to_json()


def test_all_environments_are_audited(consul_connection, consul_kv, members):
    """Without a parameter; the summary says how many members there are."""
    for environment in ("demo", "stage"):
        declare(consul_kv, members, environment, make_report("web-1"), make_report("web-2"))
    one = {"web": {"members": 2, "drifted": {}, "unknown": "", "orphaned": ""}}
    assert audit() == {"demo": one, "stage": one}
    assert audit(environment=["stage"]) == {"stage": one}


def test_drift_fails_the_task_and_the_summary_is_kept(consul_connection, consul_kv, members, capsys):
    """The log names each node with its explanation, the error the tiers."""
    declare(consul_kv, members, "demo", make_report("web-1"), make_failure("web-2"))
    context = make_context()
    with pytest.raises(Drifted, match=r"demo/web \(1 of 2 members\)"):
        DriftAuditOperator(task_id="audit").execute(context)
    summary = {"demo": {"web": {"members": 2, "drifted": {"web-2": "failed"}, "unknown": "", "orphaned": ""}}}
    context["ti"].xcom_push.assert_called_once_with("return_value", summary)
    assert "web-2: failed converging generation 7" in capsys.readouterr().out
    assert audit(max_drifted="50%") == summary


def test_nothing_to_audit_is_not_green(consul_connection, consul_kv):
    """A prefix or an environment that holds nothing was meant to be another."""
    with pytest.raises(InvalidInput, match="there is no environment below"):
        audit()
    with pytest.raises(Drifted, match="environment demo has no tiers"):
        audit(environment="demo")


@pytest.mark.parametrize(("environment", "readable"), [(None, "demo/"), ("demo", "demo/_"), ("demo", "demo/web/")])
def test_what_the_token_may_not_read_is_not_taken_for_audited(
    acl_consul, consul_root, monkeypatch, environment, readable
):
    """Consul leaves it out of its lists without a word."""
    acl_consul.put(f"kv/{consul_root}/demo/web/desired", {})
    token = acl_consul.create_token(
        f'key_prefix "{consul_root}/{readable}" {{ policy = "read" }} '
        f'key "{consul_root}/demo/_lease" {{ policy = "read" }} '
        'node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }'
    )
    connect(monkeypatch, acl_consul.port, password=token, prefix=consul_root)
    with pytest.raises(AccessDenied):
        audit(environment=environment)


CATALOG = 'node_prefix "" { policy = "read" } service_prefix "" { policy = "read" } '
WHOLE = CATALOG + 'key_prefix "ROOT/" { policy = "read" } '


@pytest.fixture
def audit_with(older_acl_consul, consul_root, monkeypatch):
    """An environment of two tiers, converged, and the audit of it by a token with some rules, on an older Consul."""
    for tier in ("web", "db"):
        older_acl_consul.put(f"kv/{consul_root}/demo/{tier}/desired", json.loads(make_desired().to_json()))
        report = make_report(f"{tier}-1", tier=tier)
        older_acl_consul.register(f"{tier}-1", tier=tier)
        older_acl_consul.put(f"kv/{consul_root}/demo/{tier}/nodes/{tier}-1", json.loads(report.to_json()))

    def run(rules, **overrides):
        token = older_acl_consul.create_token(rules.replace("ROOT", consul_root))
        connect(monkeypatch, older_acl_consul.port, password=token, prefix=consul_root)
        return audit(**{"environment": "demo"} | overrides)

    return run


def test_token_that_sees_all_audits_all(audit_with):
    """Its rules say so, which it may read."""
    found = audit_with(WHOLE + 'acl = "read" key_prefix "other/" { policy = "deny" }')
    assert set(found["demo"]) == {"web", "db"}
    assert set(audit_with(WHOLE + 'acl = "read"', environment=None)) == {"demo"}


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ('acl = "read" key_prefix "ROOT/demo/db/" { policy = "deny" }', 'rules deny key_prefix "test-.*/demo/db/"'),
        ('acl = "read" key "ROOT/demo/db/desired" { policy = "deny" }', 'rules deny key "test-.*/demo/db/desired"'),
        ('acl = "read" node "db-1" { policy = "deny" }', 'rules deny node "db-1"'),
        ('acl = "read" service "db" { policy = "deny" }', 'rules deny service "db"'),
        ('acl = "read" key "ROOT/demo/db/desired" { # no\n policy = "deny" }', "deny rules that are not understood"),
        ('key_prefix "ROOT/demo/db/" { policy = "deny" }', "the token may not read its own rules; give its policy acl"),
        ("", "the token may not read its own rules; give its policy acl = .read., or name environment and tier"),
    ],
)
def test_token_that_may_see_a_part_audits_nothing(audit_with, rules, words):
    """An old Consul leaves a tier or a node out of its lists without a word: the rest would be green."""
    with pytest.raises(AccessDenied, match=words):
        audit_with(WHOLE + rules)


def test_named_tiers_are_audited_by_whoever_may_read_them(audit_with):
    """None of them can be missing; one that may not be read is an error, and so are members that may not be listed."""
    web = 'key_prefix "ROOT/demo/web/" { policy = "read" } key_prefix "ROOT/demo/_" { policy = "read" } '
    assert set(audit_with(CATALOG + web, tier="web")["demo"]) == {"web"}
    with pytest.raises(AccessDenied, match="demo/db/: 403"):
        audit_with(CATALOG + web, tier=["web", "db"])
    some = 'node_prefix "web-" { policy = "read" } service_prefix "" { policy = "read" } '
    with pytest.raises(AccessDenied, match='give its policy node_prefix "" read'):
        audit_with(some + web, tier="web")


def test_named_tier_that_is_not_there_fails(consul_connection, consul_kv, members):
    """It was expected."""
    declare(consul_kv, members, "demo", make_report("web-1"))
    with pytest.raises(Drifted, match="demo/wbe .*no desired state"):
        audit(environment="demo", tier=["web", "wbe"])


def test_tier_without_members_fails(consul_connection, consul_kv, members):
    """Whatever the budget."""
    consul_kv["demo/web/desired"] = make_desired().to_json()
    with pytest.raises(Drifted, match="it has no members"):
        audit(max_drifted="100%")


def test_bad_budget_is_refused_when_the_dag_is_parsed():
    """It names the parameter."""
    with pytest.raises(InvalidInput, match="max_drifted must be a number of nodes"):
        DriftAuditOperator(task_id="audit", max_drifted=-1)
