"""See to it that the cookbooks' specs can run: `python -m demo.ruby` installs Ruby and RSpec where they are missing."""

import shutil
import sys

from demo.debian_install import install

PACKAGES = {"ruby": "ruby", "rspec": "ruby-rspec"}


def main() -> int:
    """Install what is missing; 1 when it cannot be had."""
    missing = [program for program in PACKAGES if shutil.which(program) is None]
    if missing:
        install(*(PACKAGES[program] for program in missing))
    missing = [program for program in missing if shutil.which(program) is None]
    if missing:
        print(
            f"{' and '.join(missing)} not found, which the cookbooks' specs need: install Ruby 3 and RSpec 3 "
            f"(Debian and Ubuntu: apt-get install {' '.join(PACKAGES.values())}; elsewhere: gem install rspec)",
            file=sys.stderr,
        )
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
