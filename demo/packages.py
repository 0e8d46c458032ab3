"""Programs that tests need beside Consul: `python -m demo.packages [NAME …]` gets those that are missing."""

import os
import pwd
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.debian_install import ChangeRefusedError, InstallError, add_system_user, install, unpack, update

# Where programs are that only root has on the PATH.
SYSTEM_DIRECTORIES = ("/usr/local/sbin", "/usr/sbin", "/sbin")
SYSTEMD_IS_RUNNING = Path("/run/systemd/system")
UNPACKED = Path(__file__).resolve().parent.parent / ".cache" / "programs"


@dataclass(frozen=True)
class Program:
    """A program, and how to get it.

    :param package: Debian's and Ubuntu's name.
    :param elsewhere: how to get it where there is no such package.
    :param is_service: whether its package starts a server, now and whenever the machine starts. It is unpacked rather
        than installed where systemd would do so, or where something else would be upgraded for it.
    """

    name: str
    package: str
    needed_for: str
    elsewhere: str
    is_service: bool = False


PROGRAMS = {
    program.name: program
    for program in (
        Program("ruby", "ruby", "the cookbooks' specs", "install Ruby 3"),
        Program("rspec", "ruby-rspec", "the cookbooks' specs", "gem install rspec"),
        Program("chromium", "chromium", "the rollout board's browser tests", "install Chromium"),
        Program("sshd", "openssh-server", "the tests of SSH", "install OpenSSH's server", is_service=True),
        Program("prometheus", "prometheus", "the tests of metric gates", "install Prometheus", is_service=True),
    )
}


def find(name: str) -> Path | None:
    """The program of that name, None where there is none."""
    directories = [os.environ.get("PATH", os.defpath), *SYSTEM_DIRECTORIES, str(UNPACKED / "bin")]
    found = shutil.which(name, path=os.pathsep.join(directories))
    return Path(found) if found else None


def main(names: Sequence[str]) -> int:
    """Get what is missing; 1 when something cannot be had."""
    missing = [PROGRAMS[name] for name in names or PROGRAMS if find(name) is None]
    if missing:
        update()
    is_complete = True
    for program in missing:
        try:
            _get(program)
        except InstallError as error:
            is_complete = False
            print(
                f"{program.name} not found, which {program.needed_for} need: apt-get install {program.package} "
                f"on Debian and Ubuntu, elsewhere {program.elsewhere}. It was not installed: {error}",
                file=sys.stderr,
            )
    return 0 if is_complete else 1


def _get(program: Program) -> None:
    # Nobody expects that running tests opens a port of the machine for good. Containers have no systemd to do so.
    if not (program.is_service and SYSTEMD_IS_RUNNING.is_dir()):
        try:
            install(program.package)
        except ChangeRefusedError:
            if not program.is_service:
                raise
    if find(program.name) is None:
        _unpack(program)


def _unpack(program: Program) -> None:
    """Unpack a program, and write a script that runs it with its libraries."""
    root = UNPACKED / program.package
    unpack(program.package, root)
    (executable,) = root.glob(f"usr/*bin/{program.name}")
    libraries = os.pathsep.join(sorted({str(path.parent) for path in root.rglob("lib*.so.*")}))
    options = _sshd_options(root) if program.name == "sshd" else []
    script = UNPACKED / "bin" / program.name
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(
        f'#!/bin/sh\nLD_LIBRARY_PATH={shlex.quote(libraries)} exec {shlex.join([str(executable), *options])} "$@"\n'
    )
    script.chmod(0o755)


def _sshd_options(root: Path) -> list[str]:
    """Where a newer sshd finds its parts; and make the user whom it becomes."""
    if os.geteuid() == 0 and "sshd" not in {user.pw_name for user in pwd.getpwall()}:
        add_system_user("sshd", "/run/sshd")  # sshd gives up root's rights for this user's
    parts = {"SshdSessionPath": "sshd-session", "SshdAuthPath": "sshd-auth"}
    return [
        f"-o{option}={path}"
        for option, part in parts.items()
        if (path := root / "usr" / "lib" / "openssh" / part).exists()
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
