"""Find a Consul to run: `python -m demo.consul_binary` prints its path.

In this order: the one that CONSUL_BINARY names, the one on the PATH, one fetched earlier, Debian's package unpacked
into a cache (nothing is installed). The project runs with every Consul from 1.8 on.
"""

import fcntl
import os
import shutil
import sys
import tempfile
from pathlib import Path

from airflow_provider_chefconsul.exceptions import ConsulUnavailable
from airflow_provider_chefconsul.testing.consul_program import BINARY, find_program
from airflow_provider_chefconsul.testing.consul_version import version_of
from demo import debian_package

OLDEST_VERSION = (1, 8, 0)
DEBIAN_SUITE = "bullseye"  # the only suite that carries consul: 1.8.7, for amd64 and arm64
CACHE_DIRECTORY = Path(__file__).resolve().parent.parent / ".cache" / "consul"

WAYS_TO_INSTALL = f"""\
Install Consul 1.8 or later and put it on the PATH, or name it in {BINARY}. Ways to get one:
  - the vendor's package for your system (apt, dnf, brew)
  - copy /bin/consul out of the vendor's container image
  - build it with a Go toolchain from Consul's Go module"""


class ConsulNotFoundError(RuntimeError):
    """No usable Consul was found or fetched; the message says what was tried and how to get one."""


def find_consul(cache_dir: Path = CACHE_DIRECTORY) -> Path:
    """Return the path of a Consul binary of version 1.8 or later, fetching one into `cache_dir` if need be.

    Safe to call from several processes at once: one fetches, the others wait for it.
    :raises ConsulNotFoundError: when there is none and none could be fetched.
    """
    try:
        found = find_program()
        version = version_of(found)
        if version is not None and version >= OLDEST_VERSION:
            return Path(found)
        tried = f"{found} is {describe(version)}"
    except ConsulUnavailable as error:
        tried = str(error)
    if BINARY in os.environ:  # another one would be used without anybody noticing
        raise ConsulNotFoundError(f"{BINARY} names no usable Consul: {tried}")
    cached = cache_dir / "consul"
    cache_dir.mkdir(parents=True, exist_ok=True)
    with (cache_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if cached.exists() and (version_of(cached) or (0,)) >= OLDEST_VERSION:
            return cached
        try:
            _fetch(cached)
        except debian_package.PackageError as error:
            fetching = f"Debian's package could not be fetched: {error}"
            raise ConsulNotFoundError("\n".join(["No Consul found.", tried, fetching, WAYS_TO_INSTALL])) from error
    return cached


def describe(version: tuple[int, ...] | None) -> str:
    """Say why a version cannot be used."""
    if version is None:
        return "not a Consul that runs here"
    return f"version {'.'.join(map(str, version))}, too old: {'.'.join(map(str, OLDEST_VERSION))} or later is needed"


def _fetch(target: Path) -> None:
    """Put the binary of Debian's package at `target`, whole or not at all; raise PackageError."""
    if shutil.which("apt-get") is None:
        raise debian_package.PackageError("this machine has no apt-get")
    print(f"Fetching Consul from Debian's suite {DEBIAN_SUITE} into {target.parent}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="unpacked-", dir=target.parent) as unpacked:
        debian_package.extract("consul", DEBIAN_SUITE, Path(unpacked))
        binary = Path(unpacked) / "usr" / "bin" / "consul"
        if version_of(binary) is None:
            raise debian_package.PackageError(f"{binary.name} of the package does not run on this machine")
        binary.replace(target)


if __name__ == "__main__":
    try:
        print(find_consul())
    except ConsulNotFoundError as error:
        sys.exit(str(error))
