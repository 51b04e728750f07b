"""Modules chosen by name: the only dynamic import of the package, so that provenance can follow it.

A registered package is a folder whose public modules are alternatives (one schedule, optimiser, task ... per file);
the configuration names the one to use, and a result depends on that one alone.
"""

import importlib
from functools import cache
from pathlib import Path
from types import ModuleType

from warmup.errors import ConfigurationError

PACKAGES = (
    "schedules",
    "optimizers",
    "tasks",
    "data.sources",
    "architectures.families",
    "architectures.starts",
    "probes",
    "kernels",
)
"""Packages of `warmup` whose modules are chosen by name."""


def names(package: str) -> list[str]:
    """Names that `load` accepts for `package`, sorted, found by listing files (nothing is imported)."""
    if package not in PACKAGES:
        raise ValueError(f"{package!r} is not a registered package; registered are {', '.join(PACKAGES)}")
    return list(_listed(package))


@cache  # planning asks several times per run
def _listed(package: str) -> tuple[str, ...]:
    folder = Path(__file__).parent.joinpath(*package.split("."))
    return tuple(sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")))


def load(package: str, name: str) -> ModuleType:
    """Module `warmup.<package>.<name>`; an unknown name is a ConfigurationError that lists the known ones."""
    known = names(package)
    if name not in known:
        raise ConfigurationError(f"{package}: {name!r} is not known; known are {', '.join(known)}")
    return importlib.import_module(f"warmup.{package}.{name}")
