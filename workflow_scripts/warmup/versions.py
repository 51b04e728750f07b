"""Versions of the libraries a result was made with. Apart from `provenance`, so that a training can record them
without depending on how provenance works."""

from collections.abc import Iterable
from importlib import metadata
from platform import python_version

ABSENT = "absent"
"""Recorded in place of a version for a library that is not installed."""


def versions(names: Iterable[str]) -> dict[str, str]:
    """Installed version of each distribution in `names`, and of Python; "absent" for one that is not installed."""
    found = {"python": python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ABSENT
    return dict(sorted(found.items()))
