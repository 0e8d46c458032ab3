"""Assets of an environment, and their addresses."""

from __future__ import annotations

import pytest
from airflow.sdk import Asset

from airflow_provider_chefconsul.assets import desired_state_changed, tier_converged
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.provider_info import get_provider_info
from airflow_provider_chefconsul.triggers.event import DesiredStateChangedTrigger, TierConvergedTrigger
from tests.support.factory import make_policy


def test_asset_of_convergence():
    """It names the watched tier, and has the watcher that reports its convergence."""
    policy = make_policy(max_absent=1)
    asset = tier_converged("demo", ["web", "db"], state="converged", policy=policy, consul_conn_id="consul_eu")
    assert asset.uri == asset.name == "consul://consul_eu/demo/db,web?event=converged&state=converged"
    (watcher,) = asset.watchers
    assert isinstance(watcher.trigger, TierConvergedTrigger)
    assert watcher.trigger.serialize()[1] == {
        "environment": "demo",
        "tier": ["db", "web"],
        "state": "converged",
        "policy": policy.to_fields(),
        "members": "service",
        "consul_conn_id": "consul_eu",
    }


def test_asset_of_changes():
    """Without a tier it stands for the whole environment."""
    asset = desired_state_changed("demo")
    assert asset.uri == "consul://consul_default/demo?event=changed"
    assert isinstance(asset.watchers[0].trigger, DesiredStateChangedTrigger)


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("consul://consul_default/demo/web", "consul://consul_default/demo/web"),
        ("CONSUL://consul_default/demo/web/", "consul://consul_default/demo/web"),
        ("consul://c/demo/web,db,web?event=changed", "consul://c/demo/db,web?event=changed"),
        ("consul://c/demo?state=off&event=converged#x", "consul://c/demo?event=converged&state=off"),
    ],
)
def test_addresses_have_one_form(given, normal):
    """Two spellings of one address are one asset."""
    assert Asset(uri=given, name="one").uri == normal


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("consul://consul_default", "environment '' is not a name"),
        ("consul:///demo/web", "'' is not a connection id"),
        ("consul://host:8500/demo", "'host:8500' is not a connection id"),
        ("consul://c/demo/web/nodes", "'web/nodes' is more than one tier"),
        ("consul://c/de%20mo", "environment 'de%20mo' is not a name"),
        ("consul://c/demo/web,", "tier '' is not a name"),
        ("consul://c/demo/_lease", "tier '_lease' is not a name"),
        ("consul://c/demo?token=1", "unknown parameter token; expected event or state"),
        ("consul://c/demo?event=broken", "unknown event 'broken'; expected converged or changed"),
        ("consul://c/demo?event=changed&state=off", "state requires event=converged"),
        ("consul://c/demo?event=converged&state=-", "state '-' is not a name"),
    ],
)
def test_bad_addresses_are_refused(uri, words):
    """One error that quotes the address and says what is wrong and which form is expected."""
    with pytest.raises(InvalidInput) as caught:
        Asset(uri=uri, name="one")
    assert words in str(caught.value)
    assert "the form is consul://CONNECTION/ENVIRONMENT" in str(caught.value)


def test_bad_parameters_are_refused_when_the_dag_is_parsed():
    """Not only in the triggerer, where nobody looks."""
    with pytest.raises(InvalidInput, match="environment 'de mo' is not a name"):
        tier_converged("de mo")
    with pytest.raises(InvalidInput, match="invalid members 'web'; expected 'service'"):
        tier_converged("demo", members="web")
    with pytest.raises(InvalidInput, match="policy must be a ConvergencePolicy"):
        tier_converged("demo", policy="100%")
    with pytest.raises(InvalidInput, match="tier is an empty list"):
        desired_state_changed("demo", [])


def test_handler_is_declared():
    """Airflow ignores an entry without both."""
    assert get_provider_info()["asset-uris"] == [
        {"schemes": ["consul"], "handler": "airflow_provider_chefconsul.assets.normalize_uri"}
    ]
