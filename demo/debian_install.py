"""Get packages of this machine's Debian without changing what is there. Standard library only.

A package is installed where that needs no password, and where apt would upgrade and remove nothing for it.
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

_INSTALL = ["apt-get", "-qq", "--yes", "--no-install-recommends", "--no-upgrade", "--no-remove"]
# `Inst libwrap0 (7.6.q-32 …)` is new, `Inst openssh-client [1:9.2p1-2] (1:9.2p1-3 …)` an upgrade.
_NEW = re.compile(r"^Inst (\S+) \(", re.MULTILINE)
_UPGRADED = re.compile(r"^Inst (\S+) \[", re.MULTILINE)


class InstallError(Exception):
    """A package cannot be had; the message says why."""


class ChangeRefusedError(InstallError):
    """A package can only be installed with a change of what is there."""


def update() -> None:
    """Fetch the lists of packages, where that needs no password; those that were fetched before may do."""
    prefix = _privilege_prefix()
    if shutil.which("apt-get") is not None and prefix is not None:
        _run([*prefix, "apt-get", "-qq", "update"], check=False)


def install(package: str) -> None:
    """Install a package.

    :raises ChangeRefusedError: apt would upgrade what is there.
    :raises InstallError: there is no apt-get, it needs a password, or it fails.
    """
    _, upgraded = _simulate(package)
    if upgraded:
        raise ChangeRefusedError(f"its installation would upgrade {', '.join(upgraded)}")
    prefix = _privilege_prefix()
    if prefix is None:
        raise InstallError("its installation needs a password")
    print(f"Installing {package}", flush=True)
    _run([*prefix, "env", "DEBIAN_FRONTEND=noninteractive", *_INSTALL, "install", package])


def unpack(package: str, directory: Path) -> None:
    """Unpack a package below a directory, with what it needs and is not installed. Needs no privileges.

    :raises InstallError: there is no apt-get, or it does not find the package.
    """
    new, upgraded = _simulate(package)
    print(f"Unpacking {package} below {directory}", flush=True)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="apt-") as scratch:
        Path(scratch).chmod(0o755)  # apt downloads as its own user when it runs as root
        _run(["apt-get", "-qq", "download", *new, *upgraded], directory=scratch)
        for deb in Path(scratch).glob("*.deb"):
            _run(["dpkg-deb", "-x", str(deb), str(directory)])


def add_system_user(name: str, home: str) -> None:
    """Add a user who cannot log in, as a package that is installed would.

    :raises InstallError: this user may not do so.
    """
    _run(["useradd", "--system", "--no-create-home", "--home-dir", home, "--shell", "/usr/sbin/nologin", name])


def _simulate(package: str) -> "tuple[list[str], list[str]]":
    """Give the packages that would be new, and those that would be upgraded."""
    if shutil.which("apt-get") is None:
        raise InstallError("this machine has no apt-get")
    said = _run([*_INSTALL, "--simulate", "install", package])
    return _NEW.findall(said), _UPGRADED.findall(said)


def _run(command: "list[str]", directory: "str | None" = None, *, check: bool = True) -> str:
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode != 0:
        raise InstallError(done.stderr.strip() or done.stdout.strip() or f"{command[0]} ended with {done.returncode}")
    return done.stdout


def _privilege_prefix() -> "list[str] | None":
    """Give the command prefix that runs as root without a password, or None where there is none."""
    if os.geteuid() == 0:
        return []
    sudo = ["sudo", "-n"]
    if shutil.which("sudo") and subprocess.run([*sudo, "true"], check=False, capture_output=True).returncode == 0:
        return sudo
    return None
