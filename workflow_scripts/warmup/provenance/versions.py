"""Versions of the libraries a result was made with.

Apart from `provenance`, so that a training can record them without depending on how provenance works.
"""

from collections.abc import Iterable
from functools import cache
from importlib import metadata
from platform import python_version

ABSENT = "absent"
"""Recorded in place of a version for a library that is not installed."""

DECISIVE = ("torch", "transformers", "numpy", "numba", "mamba-ssm", "causal-conv1d", "fla-core")
"""Distributions whose arithmetic decides what a training gives."""


def versions(names: Iterable[str] = DECISIVE) -> dict[str, str]:
    """Installed version of each distribution in `names`, and of Python; "absent" for one that is not installed."""
    found = {"python": python_version()} | {name: _version(name) for name in names}
    return dict(sorted(found.items()))


@cache
def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ABSENT
