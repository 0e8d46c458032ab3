"""What this package uses of py-consul, imported without the rest.

py-consul's ``__init__`` imports its synchronous client, and with it requests: more than half of the time that
importing ``consul.base`` takes. ``importlib.util.LazyLoader`` would load them all the same, since py-consul imports
names from them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec, module_from_spec
from threading import RLock
from types import ModuleType
from typing import Any

_LOCK = RLock()


class _LazyPackage(ModuleType):
    """A package whose modules can be imported before its ``__init__`` has run: that runs when a name is missing."""

    run_init: Callable[[], None] | None

    def __getattr__(self, name: str) -> Any:
        with _LOCK:
            run_init, self.run_init = self.run_init, None
            if run_init is not None:
                run_init()
            if name in self.__dict__:
                return self.__dict__[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def _import_lazily(name: str) -> None:
    """Import a package without running its ``__init__``, unless it has been imported."""
    spec = None if name in sys.modules else find_spec(name)
    if spec is not None and spec.loader is not None:
        package = _LazyPackage(name)
        package.run_init = partial(spec.loader.exec_module, package)
        vars(package).update(vars(module_from_spec(spec)))
        sys.modules.setdefault(name, package)


_import_lazily("consul")

from consul.check import Check  # noqa: E402

vars(sys.modules["consul"]).setdefault("Check", Check)  # consul.base imports it from the package

import consul.base as base  # noqa: E402, PLR0402 - "from" would ask the package for it before it is imported
from consul.callback import CB  # noqa: E402
from consul.exceptions import ConsulException  # noqa: E402

__all__ = ["CB", "ConsulException", "base"]
