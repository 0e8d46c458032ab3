"""py-consul's own client, for Dag authors."""

from __future__ import annotations

import consul.std

from airflow_provider_chefconsul.consul.http.settings import ConsulSettings


def plain_client(settings: ConsulSettings) -> consul.std.Consul:
    """py-consul's own synchronous client, for Dag authors."""
    client = consul.std.Consul(
        host=settings.host,
        port=settings.port,
        scheme=settings.scheme,
        token=settings.token,
        dc=settings.datacenter,
        verify=settings.verify,
        cert=(settings.cert, settings.key) if settings.cert and settings.key else settings.cert,
    )
    client.http.base_uri = settings.url  # py-consul's lacks brackets around an IPv6 address
    client.http.session.headers.update(settings.tenancy_headers)
    if settings.token is not None:
        client.token = settings.token  # CONSUL_HTTP_TOKEN would have replaced it
    return client
