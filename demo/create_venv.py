"""Create a virtual environment with pip: `python3 -m demo.create_venv DIRECTORY`.

Runs under the machine's own Python, before anything is installed: standard library only. Where that Python
comes without `ensurepip`, as on Debian, the missing package is installed if that needs no password.
"""

import importlib.util
import sys
import venv

from demo.debian_install import InstallError, install, update

OLDEST_PYTHON = (3, 11)

if sys.version_info < OLDEST_PYTHON:  # the caller's Python may be older than ours
    sys.exit(
        "Python {}.{} or later is needed, {} is {}.{}. Name a later one: make PYTHON=/path/to/python3.12 ...".format(
            *OLDEST_PYTHON, sys.executable, *sys.version_info[:2]
        )
    )


def main() -> None:
    """Create the environment named on the command line, replacing what is there."""
    directory = sys.argv[1]
    if not has_ensurepip():
        install_ensurepip()
    print(f"Creating {directory} with Python {sys.version.split()[0]}", flush=True)
    venv.create(directory, clear=True, with_pip=True)


def has_ensurepip() -> bool:
    """Say whether this Python can put pip into a new environment."""
    importlib.invalidate_caches()
    return importlib.util.find_spec("ensurepip") is not None


def install_ensurepip() -> None:
    """Install Debian's package that carries `ensurepip`, or exit saying what to install."""
    package = "python{}.{}-venv".format(*sys.version_info[:2])
    print("This Python lacks ensurepip")
    problem = ""
    try:
        update()
        install(package)
    except InstallError as error:
        problem = f" ({error})"
    if not has_ensurepip():
        sys.exit(
            f"{sys.executable} cannot create virtual environments: its module ensurepip is missing{problem}. "
            f"Install it (Debian and Ubuntu: apt-get install {package}), or name another Python: "
            "make PYTHON=/path/to/python3.12 ..."
        )


if __name__ == "__main__":
    main()
