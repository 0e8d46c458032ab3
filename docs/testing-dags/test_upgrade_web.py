"""The rollout stops early when a quarter of the nodes does not take the release."""

import os
from pathlib import Path

DAG_FILE = Path(__file__).parent / "dags" / os.environ.get("DAG_FILE", "upgrade_web.py")


def test_a_bad_release_reaches_half_of_the_nodes_at_most(fleet):
    """Three of twelve nodes fail with 2.5.0."""
    nodes = fleet(
        web=12, state="converged", values={"release": "2.4.0"}, faults=["25% of web fail with release=2.5.0"], seed=1
    )
    result = nodes.run(DAG_FILE, conf={"release": "2.5.0"})
    assert result.state == "failed"
    assert len(nodes.touched("web", release="2.5.0")) <= 6


def test_a_good_release_reaches_all(fleet):
    """All twelve nodes converge."""
    nodes = fleet(web=12, state="converged", values={"release": "2.4.0"})
    assert nodes.run(DAG_FILE, conf={"release": "2.5.0"}).state == "success"
    assert set(nodes.tier("web").standings.values()) == {"converged"}
