"""Where the Consul binary comes from, and what is refused on the way."""

import hashlib
from pathlib import Path

import pytest

from airflow_provider_chefconsul.testing.consul_program import BINARY
from demo import debian_package
from demo.consul_binary import ConsulNotFoundError, find_consul
from demo.debian_package import PackageError, Source, debian_sources, parse_deb822, parse_one_line, private_source

DEB822 = """\
Types: deb deb-src
# a comment inside the stanza
URIs: http://mirror.example/debian
  http://second.example/pub/debian/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
Enabled: no
URIs: http://disabled.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://sources.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://inline.example/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc=
 -----END PGP PUBLIC KEY BLOCK-----
"""

ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb http://mirror.example/debian bookworm main contrib  # with a comment
deb [arch=amd64 signed-by=/usr/share/keyrings/vendor.gpg] https://vendor.example/linux/debian bookworm stable
deb-src http://mirror.example/debian bookworm main
deb [signed-by=/etc/apt/keyrings/acme.asc] https://acme.example/debian bookworm main
deb cdrom:[Debian 12]/debian bookworm main
"""


def make_binary(directory: Path, version: str) -> Path:
    """Write a program that answers `consul version`."""
    directory.mkdir(parents=True, exist_ok=True)
    binary = directory / "consul"
    binary.write_text(f"#!/bin/sh\necho 'Consul v{version}'\n")
    binary.chmod(0o755)
    return binary


@pytest.fixture(autouse=True)
def no_named_consul(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever Consul these tests are run on."""
    monkeypatch.delenv(BINARY, raising=False)


def test_named_consul_comes_before_the_one_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CONSUL_BINARY chooses the version that the demo, the tests and the benchmarks run on."""
    monkeypatch.setenv("PATH", str(make_binary(tmp_path / "bin", "1.10.0").parent), prepend=":")
    named = make_binary(tmp_path / "newer", "1.22.7")
    monkeypatch.setenv(BINARY, str(named))
    assert find_consul(tmp_path / "cache") == named


@pytest.mark.parametrize(("version", "problem"), [("1.7.9", "version 1.7.9, too old"), (None, "is not a program")])
def test_named_consul_that_cannot_be_used_is_not_replaced(
    version: str | None, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the tests would pass on another version than was asked for."""
    monkeypatch.setenv("PATH", str(make_binary(tmp_path / "bin", "1.10.0").parent), prepend=":")
    named = make_binary(tmp_path / "named", version) if version else tmp_path / "nowhere"
    monkeypatch.setenv(BINARY, str(named))
    with pytest.raises(ConsulNotFoundError, match=f"^{BINARY} names no usable Consul: .*{problem}"):
        find_consul(tmp_path / "cache")


def test_consul_on_the_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Consul that is new enough is used as it is; 1.10 is newer than 1.8."""
    binary = make_binary(tmp_path / "bin", "1.10.0")
    monkeypatch.setenv("PATH", str(binary.parent), prepend=":")
    make_binary(tmp_path / "cache", "1.8.7")
    assert find_consul(tmp_path / "cache") == binary


def test_cached_consul_is_used_where_the_one_on_the_path_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Consul before 1.8 is passed over."""
    monkeypatch.setenv("PATH", str(make_binary(tmp_path / "bin", "1.7.9").parent), prepend=":")
    cached = make_binary(tmp_path / "cache", "1.8.7")
    assert find_consul(tmp_path / "cache") == cached


def test_no_consul_says_what_was_tried_and_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without apt-get the error names the version that was too old and the ways to install."""
    old = make_binary(tmp_path / "bin", "1.7.9")
    monkeypatch.setenv("PATH", f"{old.parent}")
    with pytest.raises(ConsulNotFoundError, match=r"(?s)1\.7\.9, too old.*no apt-get.*Install Consul 1\.8 or later"):
        find_consul(tmp_path / "cache")
    assert not (tmp_path / "cache" / "consul").exists()


def test_failed_fetch_leaves_nothing_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose apt knows no Debian mirror gets the error of the fetch, not half a binary."""
    monkeypatch.setattr("shutil.which", lambda name: None if name == "consul" else f"/usr/bin/{name}")
    monkeypatch.setattr(debian_package, "ETC_APT", tmp_path / "etc")
    with pytest.raises(ConsulNotFoundError, match="names a Debian mirror"):
        find_consul(tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]


def test_stanza_form_gives_one_source_for_each_uri() -> None:
    """Comments, continuation lines, inline keys, disabled and source-only stanzas."""
    found = {source.uri: source for source in parse_deb822(DEB822)}
    assert list(found) == [
        "http://mirror.example/debian",
        "http://second.example/pub/debian/",
        "http://mirror.example/debian-security",
        "http://inline.example/debian",
    ]
    assert found["http://mirror.example/debian"].components == ("main", "contrib")
    assert found["http://mirror.example/debian"].signed_by == "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert "abc=" in found["http://inline.example/debian"].signed_by


def test_one_line_form_gives_options_and_components() -> None:
    """Comments and deb-src are left out; signed-by is read from the options."""
    assert parse_one_line(ONE_LINE)[:3] == [
        Source("http://mirror.example/debian", ("main", "contrib")),
        Source("https://vendor.example/linux/debian", ("stable",), "/usr/share/keyrings/vendor.gpg"),
        Source("https://acme.example/debian", ("main",), "/etc/apt/keyrings/acme.asc"),
    ]


def test_only_mirrors_of_debian_are_asked_and_foreign_keys_last() -> None:
    """Security archives, vendors without main and CDs are no mirrors; an entry signed by somebody else comes last."""
    sources = parse_one_line(ONE_LINE)[::-1] + parse_deb822(DEB822)
    assert [source.uri for source in debian_sources(sources)] == [
        "http://mirror.example/debian",
        "http://second.example/pub/debian/",
        "https://acme.example/debian",
        "http://inline.example/debian",
    ]


@pytest.mark.parametrize(
    "uri",
    [
        "http://snapshot.example/archive/debian/20250520T000000Z",
        "mirror+file:/etc/apt/mirrors/debian.list",
        "https://mirror.example/debian/",
    ],
)
def test_other_forms_of_a_debian_mirror(uri: str) -> None:
    """Dated snapshots and the mirror lists of Debian's cloud images count too."""
    assert Source(uri, ("main",)).is_debian


def test_private_source_adds_the_archive_keyring_to_the_given_one(tmp_path: Path) -> None:
    """The other suite may be signed with another key; an inline key gives way to the keyring."""
    keyring = tmp_path / "archive.gpg"
    keyring.touch()
    given = Source("http://m.example/debian", ("main",), "/k/own.gpg")
    assert f"Signed-By: /k/own.gpg {keyring}\n" in private_source(given, "bullseye", [keyring])
    assert "Signed-By: /k/own.gpg\n" in private_source(given, "bullseye", [])
    inline = Source("http://m.example/debian", ("main",), "-----BEGIN PGP")
    assert f"Signed-By: {keyring}\n" in private_source(inline, "bullseye", [keyring])
    assert "Signed-By" not in private_source(Source("http://m.example/debian", ("main",)), "bullseye", [])


def test_package_with_another_checksum_is_refused(tmp_path: Path) -> None:
    """The file must have the SHA256 of the signed index; an index without one is refused as well."""
    deb = tmp_path / "consul_1.deb"
    deb.write_bytes(b"package")
    debian_package.verify_sha256(deb, f"Package: consul\nSHA256: {hashlib.sha256(b'package').hexdigest()}\n")
    with pytest.raises(PackageError, match="the signed index says 0000"):
        debian_package.verify_sha256(deb, f"Package: consul\nSHA256: {'0' * 64}\n")
    with pytest.raises(PackageError, match="no SHA256"):
        debian_package.verify_sha256(deb, "Package: consul\nMD5sum: 1\n")
