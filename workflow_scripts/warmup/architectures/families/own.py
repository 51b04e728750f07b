"""A class in a file of the user's own (`source` of an architecture): it alone knows its settings."""

from collections.abc import Iterator, Mapping
from typing import Any

DEFAULTS: dict[str, int] = {}
KERNELS: tuple[str, ...] = ()
PLAIN_CAUSAL = False


def problems(_settings: Mapping[str, Any]) -> Iterator[str]:
    """Nothing that could be told without the class."""
    yield from ()


def longest_sequence(_settings: Mapping[str, Any]) -> tuple[str, int] | None:
    """Unknown: a class that has a limit fails when its model is checked."""
    return None


def overrides(_settings: Mapping[str, Any]) -> dict[str, Any]:
    """None."""
    return {}
