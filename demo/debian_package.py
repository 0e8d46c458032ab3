"""Fetch one package of another Debian suite without installing it or touching the system's apt.

The sources of this machine name a Debian mirror and the keys that sign it. A private apt configuration
asks that mirror for the other suite, so apt itself checks the signed Release and every checksum below it.
"""

import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ETC_APT = Path("/etc/apt")
ARCHIVE_KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)
DEBIAN_PATH = re.compile(r"/debian(/\d{8}T\d{6}Z)?/?$")  # a mirror, or a dated snapshot of one
MIRROR_LIST = re.compile(r"^mirror\+file:.*/debian\.list$")  # Debian's cloud images name a list of mirrors
ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+\S+\s+(?P<components>[^#]+)")
COMMAND_TIMEOUT_SECONDS = 300


class PackageError(RuntimeError):
    """No source of this machine gave the package, or what it gave is not what was signed."""


@dataclass(frozen=True)
class Source:
    """One archive that apt reads; `signed_by` is the text of its Signed-By field, empty where it has none."""

    uri: str
    components: tuple[str, ...]
    signed_by: str = ""

    @property
    def is_debian(self) -> bool:
        """Say whether this looks like a mirror of Debian itself; the signature decides in the end."""
        named_so = DEBIAN_PATH.search(self.uri) or MIRROR_LIST.match(self.uri)
        return bool(named_so) and "main" in self.components and not self.uri.startswith("cdrom:")


def extract(package: str, suite: str, directory: Path) -> None:
    """Fetch `package` of `suite`, verify it and unpack its files below `directory`; raise PackageError."""
    candidates = debian_sources(read_sources(ETC_APT))
    if not candidates:
        raise PackageError(f"no entry under {ETC_APT} names a Debian mirror with the component main")
    failures = []
    for source in candidates:
        with tempfile.TemporaryDirectory(prefix="apt-") as scratch:
            try:
                deb = _download(package, suite, source, Path(scratch))
                _run(["dpkg-deb", "-x", str(deb), str(directory)])
            except PackageError as error:
                failures.append(f"{source.uri} {suite}: {error}")
            else:
                return
    raise PackageError("\n".join(failures))


def read_sources(etc_apt: Path) -> list[Source]:
    """Read every source that apt reads from this directory, in both of its forms."""
    parts = etc_apt / "sources.list.d"
    sources = []
    for path in [etc_apt / "sources.list", *sorted(parts.glob("*.list"))]:
        if path.is_file():
            sources += parse_one_line(path.read_text(errors="replace"))
    for path in sorted(parts.glob("*.sources")):
        sources += parse_deb822(path.read_text(errors="replace"))
    return sources


def parse_one_line(text: str) -> list[Source]:
    """Parse the one-line form: `deb [options] uri suite component …`."""
    sources = []
    for line in text.splitlines():
        if match := ONE_LINE.match(line.strip()):
            options = dict(option.partition("=")[::2] for option in (match["options"] or "").split())
            sources.append(Source(match["uri"], tuple(match["components"].split()), options.get("signed-by", "")))
    return sources


def parse_deb822(text: str) -> list[Source]:
    """Parse the stanza form, one Source for each URI of each enabled stanza of type deb."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    sources = []
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = _fields(stanza)
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() not in {"no", "false"}:
            components = tuple(fields.get("components", "").split())
            sources += [Source(uri, components, fields.get("signed-by", "")) for uri in fields.get("uris", "").split()]
    return sources


def _fields(stanza: str) -> dict[str, str]:
    """Split a stanza into its fields, names in lower case; a continuation line belongs to the field above it."""
    matches = re.finditer(r"^([^\s:]+):(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE)
    return {match[1].lower(): match[2].strip() for match in matches}


def debian_sources(sources: Iterable[Source]) -> list[Source]:
    """Choose the mirrors of Debian, each URI once: first those that are signed by Debian or do not say by whom."""
    by_uri: dict[str, Source] = {}
    for source in sources:
        if source.is_debian:
            by_uri.setdefault(source.uri.rstrip("/"), source)
    return sorted(by_uri.values(), key=lambda source: bool(source.signed_by) and "debian" not in source.signed_by)


def private_source(source: Source, suite: str, keyrings: Iterable[Path] = ARCHIVE_KEYRINGS) -> str:
    """Write the source list that asks this mirror for another suite.

    The other suite may be signed with another key than the machine's own, so Debian's archive keyring
    is added to the files that Signed-By names; it replaces a key given inline, which apt cannot combine.
    """
    archive = [str(path) for path in keyrings if path.exists()][:1]
    named = [path for path in re.split(r"[\s,]+", source.signed_by) if path.startswith("/")]
    signed_by = " ".join(dict.fromkeys(named + archive)) or source.signed_by
    stanza = f"Types: deb\nURIs: {source.uri}\nSuites: {suite}\nComponents: main\nTargets: Packages\n"
    return stanza + (f"Signed-By: {signed_by}\n" if signed_by else "")


def _download(package: str, suite: str, source: Source, scratch: Path) -> Path:
    """Let apt fetch the package into the scratch directory and check it once more against the signed index."""
    scratch.chmod(0o755)  # apt downloads as its own user when it runs as root
    environment = _private_configuration(private_source(source, suite), scratch)
    _run(["apt-get", "-qq", "update"], cwd=scratch, environment=environment)
    _run(["apt-get", "-qq", "download", package], cwd=scratch, environment=environment)
    shown = _run(["apt-cache", "show", "--no-all-versions", package], environment=environment)
    (deb,) = scratch.glob(f"{package}_*.deb")
    verify_sha256(deb, shown)
    return deb


def _private_configuration(sources: str, scratch: Path) -> dict[str, str]:
    """Configure apt to live in the scratch directory and give the environment that makes it do so.

    Of the system's settings only those for downloading (proxies, certificates) stay; its hooks do not run.
    """
    (scratch / "private.sources").write_text(sources)
    (scratch / "lists" / "partial").mkdir(parents=True)
    (scratch / "cache" / "archives" / "partial").mkdir(parents=True)
    (scratch / "status").touch()
    acquire = [line for line in _run(["apt-config", "dump"]).splitlines() if line.startswith("Acquire::")]
    settings = {
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::Etc::sourcelist": scratch / "private.sources",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": scratch,
        "Dir::State::lists": scratch / "lists",
        "Dir::State::status": scratch / "status",
        "Dir::Cache": scratch / "cache",
        "Dir::Log": scratch,
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::Languages": "none",
        "APT::Get::AllowUnauthenticated": "false",
    }
    configuration = scratch / "apt.conf"
    configuration.write_text("\n".join([*acquire, *(f'{key} "{value}";' for key, value in settings.items())]) + "\n")
    return {**os.environ, "APT_CONFIG": str(configuration), "LC_ALL": "C"}


def verify_sha256(deb: Path, shown: str) -> None:
    """Compare the file with the SHA256 that `apt-cache show` printed for it; raise PackageError."""
    found = re.search(r"^SHA256: ([0-9a-f]{64})$", shown, re.MULTILINE)
    if found is None:
        raise PackageError(f"the signed index gives no SHA256 for {deb.name}")
    with deb.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != found[1]:
        raise PackageError(f"{deb.name} has SHA256 {actual}, the signed index says {found[1]}")


def _run(command: list[str], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Run a command without a terminal and return what it prints; raise PackageError with what it complained of."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PackageError(str(error)) from error
    if done.returncode != 0:
        raise PackageError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
