"""The upgrade of the web tier, tried on simulated nodes."""

from pathlib import Path

DAG_FILE = Path(__file__).parent / "dags" / "upgrade_web.py"
BEFORE = {"web": 12, "state": "converged", "values": {"release": "2.4.0"}}


def test_bad_release_reaches_half_of_the_nodes_at_most(fleet):
    """A quarter of the nodes fail with the release: the rollout stops, and the others keep what they have."""
    nodes = fleet(**BEFORE, faults=["25% of web fail with release=2.5.0"], seed=1)
    result = nodes.run(DAG_FILE, conf={"release": "2.5.0"})
    assert len(nodes.touched("web", release="2.5.0")) <= 6
    assert result.state == "failed"


def test_good_release_reaches_all_nodes(fleet):
    """Every node converges on it."""
    nodes = fleet(**BEFORE)
    assert nodes.run(DAG_FILE, conf={"release": "2.5.0"}).state == "success"
    assert set(nodes.tier("web").standings.values()) == {"converged"}
