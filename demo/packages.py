"""Programs that tests need beside Consul: `python -m demo.packages [NAME …]` installs those that are missing."""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.debian_install import install

# Where programs are that only root has on the PATH.
SYSTEM_DIRECTORIES = ("/usr/local/sbin", "/usr/sbin", "/sbin")
SYSTEMD_IS_RUNNING = Path("/run/systemd/system")


@dataclass(frozen=True)
class Program:
    """A program, and how to get it.

    :param package: Debian's and Ubuntu's name.
    :param elsewhere: how to get it where there is no such package.
    :param is_service: whether its package starts a server, now and whenever the machine starts.
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
    )
}


def find(name: str) -> Path | None:
    """The program of that name, None where there is none."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_DIRECTORIES]))
    return Path(found) if found else None


def main(names: Sequence[str]) -> int:
    """Install what is missing; 1 when something cannot be had."""
    wanted = [PROGRAMS[name] for name in names or PROGRAMS]
    missing = [program for program in wanted if find(program.name) is None]
    # Nobody expects that running tests opens a port of the machine for good. Containers have no systemd to do so.
    if packages := [each.package for each in missing if not (each.is_service and SYSTEMD_IS_RUNNING.is_dir())]:
        install(*packages)
    missing = [program for program in missing if find(program.name) is None]
    for program in missing:
        print(
            f"{program.name} not found, which {program.needed_for} need: apt-get install {program.package} "
            f"on Debian and Ubuntu, elsewhere {program.elsewhere}",
            file=sys.stderr,
        )
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
