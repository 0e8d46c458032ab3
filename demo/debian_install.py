"""Install a package of this machine's Debian, where that needs no password. Standard library only."""

import os
import shutil
import subprocess


def install(*packages: str) -> bool:
    """Install packages by apt-get; False where there is no apt-get, or it needs a password."""
    prefix = _privilege_prefix()
    if shutil.which("apt-get") is None or prefix is None:
        return False
    print(f"Installing {' '.join(packages)}", flush=True)
    apt_get = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    subprocess.run([*apt_get, "update"], check=False, stdin=subprocess.DEVNULL)
    done = subprocess.run([*apt_get, "install", "--yes", *packages], check=False, stdin=subprocess.DEVNULL)
    return done.returncode == 0


def _privilege_prefix() -> "list[str] | None":
    """Give the command prefix that runs as root without a password, or None where there is none."""
    if os.geteuid() == 0:
        return []
    sudo = ["sudo", "-n"]
    if shutil.which("sudo") and subprocess.run([*sudo, "true"], check=False, capture_output=True).returncode == 0:
        return sudo
    return None
