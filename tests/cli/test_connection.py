"""Which Consul a command uses: that of a URL, or of an environment variable, read as Airflow or Consul read theirs."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import quote

import pytest
from airflow.sdk import Connection
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.cli.connection import find_in_variables, parse_url
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.exceptions import UnusableConnection
from airflow_provider_chefconsul.hooks.consul import parse_settings

VARIABLE = "AIRFLOW_CONN_CONSUL_DEFAULT"
TOKEN = "5ec2e7"


def make_settings(**overrides):
    """The settings of a Consul on this machine."""
    return ConsulSettings(**{"host": "127.0.0.1", "port": 8500} | overrides)


@pytest.mark.parametrize(
    ("url", "variables", "settings"),
    [
        ("http://127.0.0.1:8500", {}, {}),
        ("http://127.0.0.1:8500/", {}, {}),
        ("127.0.0.1:8500", {}, {}),
        ("127.0.0.1:8501", {"CONSUL_HTTP_SSL": "true"}, {"scheme": "https", "port": 8501}),
        ("https://consul.example.com:8501", {}, {"scheme": "https", "host": "consul.example.com", "port": 8501}),
        ("http://[::1]:8500", {}, {"host": "::1"}),
        (f"http://:{TOKEN}@127.0.0.1:8500", {}, {"token": TOKEN}),
        (f"http://:{TOKEN}@127.0.0.1:8500", {"CONSUL_HTTP_TOKEN": "other"}, {"token": TOKEN}),
        ("http://:5ec%2Fe7@127.0.0.1:8500", {}, {"token": "5ec/e7"}),
        ("http://127.0.0.1:8500", {"CONSUL_HTTP_TOKEN": TOKEN}, {"token": TOKEN}),
        ("http://127.0.0.1:8500?prefix=teams/shop&datacenter=dc2", {}, {"root": "teams/shop", "datacenter": "dc2"}),
        ("http://127.0.0.1:8500?namespace=team&partition=eu", {}, {"namespace": "team", "partition": "eu"}),
        (
            "http://127.0.0.1:8500?namespace=team",
            {"CONSUL_NAMESPACE": "other", "CONSUL_PARTITION": "eu"},
            {"namespace": "team", "partition": "eu"},
        ),
        ("http://127.0.0.1:8500/?wait=40&verify=false", {}, {"wait": timedelta(seconds=40), "verify": False}),
        (
            "http://127.0.0.1:8500",
            {"CONSUL_CACERT": __file__, "CONSUL_CLIENT_CERT": __file__, "CONSUL_CLIENT_KEY": __file__},
            {"verify": __file__, "cert": __file__, "key": __file__},
        ),
        (f"http://127.0.0.1:8500?verify={__file__}", {"CONSUL_CACERT": "/other.pem"}, {"verify": __file__}),
        ("http://127.0.0.1:8500", {"CONSUL_CACERT": __file__, "CONSUL_HTTP_SSL_VERIFY": "false"}, {"verify": False}),
    ],
)
def test_url(url, variables, settings):
    """What it leaves out is taken from Consul's own variables, as Consul's command line does."""
    assert parse_url("--url", url, variables) == make_settings(**settings)
    assert find_in_variables("consul_default", {"CONSUL_HTTP_ADDR": url, **variables}) == make_settings(**settings)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://127.0.0.1:8500", "cannot use ftp://; expected http[s]://HOST:PORT[?prefix=…]"),
        ("unix:///run/consul.sock", "cannot use unix://; expected"),
        ("http://127.0.0.1", "port is missing; Consul's default is 8500 for http and 8501 for https"),
        ("127.0.0.1", "port is missing"),
        ("http://127.0.0.1:85000", "port must be a number from 1 to 65535"),
        (f"http://:{TOKEN}", "port must be a number"),
        ("http://:8500", "host must be a host name or an address and nothing else, not ''"),
        ("no address", "host must be a host name or an address and nothing else, not 'no address'"),
        ("http://[::1:8500", "is not a URL; expected"),
        ("http://127.0.0.1:8500/ui", "must not have a path; expected"),
        ("http://127.0.0.1:8500/#nodes", "must not have a path"),
        (f"http://{TOKEN}@127.0.0.1:8500", "a colon is missing before the token: http://:TOKEN@HOST:PORT"),
        (f"http://:{TOKEN} @127.0.0.1:8500", "password is not an ACL token: it contains spaces"),
        (f"http://:{TOKEN}%0A@127.0.0.1:8500", "password is not an ACL token"),
        (f"http://:{TOKEN}/@127.0.0.1:8500", "percent-encode what is not a letter, digit or '-' in the token"),
        (f"http://:{TOKEN}?@127.0.0.1:8500", "percent-encode"),
        (f"http://:{TOKEN}#@127.0.0.1:8500", "percent-encode"),
        ("http://127.0.0.1:8500?perfix=shop", "unknown parameter 'perfix'; expected one of prefix, datacenter"),
        ("http://127.0.0.1:8500?namespace=a.b", "namespace must be 1 to 64 letters, digits or hyphens, not 'a.b'"),
        ("http://127.0.0.1:8500?prefix=/a", "prefix '/a' is not one or more names"),
        ("http://127.0.0.1:8500?verify=/nowhere.pem", "verify must be the path of an existing file"),
        ("http://127.0.0.1:8500?wait=0", "wait must be a number of seconds"),
    ],
)
def test_bad_url(url, words):
    """The error says where it stands and what is wrong, and shows no token."""
    for label, variables in (("--url", {}), ("CONSUL_HTTP_ADDR", {"CONSUL_HTTP_ADDR": url})):
        with pytest.raises(UnusableConnection) as caught:
            find_in_variables("consul_default", variables) if variables else parse_url(label, url, {})
        assert str(caught.value).startswith(f"{label}: {words}")
        assert TOKEN not in str(caught.value)


@given(st.text(st.sampled_from("/?#@:[]% a1\n"), max_size=8), st.text(st.sampled_from("/?#@:[]% a1\n"), max_size=8))
def test_no_error_shows_the_token(before, after):
    """However the characters around it cut the URL up."""
    try:
        parse_url("--url", f"http://:{before}5ec2e7{after}@127.0.0.1:8500", {})
    except UnusableConnection as error:
        assert TOKEN not in str(error)
        assert error.__cause__ is None or TOKEN not in str(error.__cause__)


@pytest.mark.parametrize(
    "text",
    [
        "consul://127.0.0.1:8500",
        "consul://127.0.0.1:8500/https",
        f"consul://:{TOKEN}@127.0.0.1:8501/https?prefix=teams%2Fshop&datacenter=dc2&verify=false&wait=40",
        f"consul://user:{quote('5ec/2@e7', safe='')}@consul.example.com:8500",
        "consul://127.0.0.1:8500/?__extra__=" + quote(json.dumps({"prefix": "shop", "verify": False})),
        "http://127.0.0.1:8500",
        "consul://[::1]:8500",
        json.dumps({"conn_type": "consul", "host": "127.0.0.1", "port": 8500}),
        json.dumps({"host": "127.0.0.1", "port": "8500", "password": TOKEN, "schema": "https"}),
        json.dumps({"host": "127.0.0.1", "port": 8500, "extra": {"prefix": "shop", "wait": 40}}),
        json.dumps({"host": "127.0.0.1", "port": 8500, "extra": json.dumps({"prefix": "shop"})}),
        json.dumps({"host": "127.0.0.1", "port": 8500, "extra": None, "login": "user", "description": "…"}),
    ],
)
def test_variable_is_read_as_airflow_reads_it(text):
    """Airflow's own reader is the yardstick."""
    read = Connection.from_json if text.startswith("{") else Connection.from_uri
    assert find_in_variables("consul_default", {VARIABLE: text}) == parse_settings(read(text, conn_id="consul_default"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "neither a URI, such as consul://127.0.0.1:8500, nor a JSON object"),
        ("https://127.0.0.1:8500", "https belongs after the port: consul://HOST:PORT/https"),
        ("consul://https://127.0.0.1:8500", "names two protocols; https belongs after the port"),
        ("consul://127.0.0.1", "port is missing"),
        ("consul://127.0.0.1:x", "port must be a number"),
        ("consul://127.0.0.1:8500/ftp", "schema must be http or https, not 'ftp'"),
        (f"consul://:{TOKEN}/@127.0.0.1:8500", "percent-encode"),
        ("consul://[::1:8500", "is not a URL"),
        (f'{{"password": "{TOKEN}"', "is not JSON: "),
        (json.dumps({"host": "127.0.0.1", "port": "x"}), "port must be a number, not 'x'"),
        (json.dumps({"host": "127.0.0.1", "port": [8500]}), "port must be a number, not [8500]"),
        (json.dumps({"host": 1, "port": 8500}), "host must be text"),
        (json.dumps({"host": "127.0.0.1", "port": 8500, "password": [TOKEN]}), "password must be text"),
        (json.dumps({"host": "127.0.0.1", "port": 8500, "extra": []}), "extra must be a JSON object, not a list"),
    ],
)
def test_bad_variable(text, words):
    """The error names the variable, and shows no token."""
    with pytest.raises(UnusableConnection) as caught:
        find_in_variables("consul_default", {VARIABLE: text})
    assert str(caught.value).startswith(f"{VARIABLE}: {words}")
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("connection_id", "variables", "host"),
    [
        ("consul_default", {VARIABLE: "consul://a:8500", "CONSUL_HTTP_ADDR": "b:8500"}, "a"),
        ("consul_default", {VARIABLE: " ", "CONSUL_HTTP_ADDR": "b:8500"}, "b"),
        ("other", {VARIABLE: "consul://a:8500", "CONSUL_HTTP_ADDR": "b:8500"}, None),
        ("other", {"AIRFLOW_CONN_OTHER": "consul://c:8500", "CONSUL_HTTP_ADDR": "b:8500"}, "c"),
        ("consul_default", {"CONSUL_HTTP_ADDR": "", "CONSUL_HTTP_TOKEN": TOKEN}, None),
    ],
)
def test_which_variable(connection_id, variables, host):
    """The connection's own, before Consul's; a connection with another id is never taken for Consul's."""
    found = find_in_variables(connection_id, variables)
    assert (found and found.host) == host


def test_consuls_token_is_not_that_of_a_connection():
    """As in Airflow: a connection without a password sends none."""
    found = find_in_variables("consul_default", {VARIABLE: "consul://127.0.0.1:8500", "CONSUL_HTTP_TOKEN": TOKEN})
    assert found == make_settings()
