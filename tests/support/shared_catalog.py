"""The catalog of a Consul that tests share: what one of them registers is no member in the next."""

from __future__ import annotations

import httpx

from demo.cluster import SERVER


def remove_nodes(url: str, token: str = "") -> None:
    """Take all nodes but the server out of a catalog.

    :param url: of a cluster of one server.
    :param token: one that may do so.
    """
    with httpx.Client(base_url=url, headers={"X-Consul-Token": token}, trust_env=False) as client:
        for node in client.get("/v1/catalog/nodes").raise_for_status().json():
            if node["Node"] != SERVER:
                client.put("/v1/catalog/deregister", json={"Node": node["Node"]}).raise_for_status()
