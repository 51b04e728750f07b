"""Words that advice and its record share."""

from collections.abc import Mapping, Sequence
from typing import Any

ROUNDING = 1e-6
"""Of a warmup's fraction that went through a logarithm."""


def percent(share: float | None) -> str:
    """A share, 0 to 1, with two digits."""
    if share is None:
        return "?"
    return "0 %" if abs(share) < ROUNDING else f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.3g} %"


def listed(values: Sequence[Any]) -> str:
    """Names or numbers, "a, b and c"."""
    words = [value if isinstance(value, str) else f"{value:g}" for value in values]
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def excludes(low: float, high: float) -> bool:
    """Whether an interval of warmups leaves out anything between none and all of training, beyond rounding."""
    return low > ROUNDING or high < 1 - ROUNDING


def rests_on(about: Mapping[str, Any]) -> str:
    """What a reference is made of."""
    fewest, most = about["seeds"]
    seeds = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return (
        f"{about['runs']} runs of {len(about['lineages'])} lineages (an architecture with its variants), "
        f"scale {about['scale']}, {listed(about['steps'])} steps, {seeds} seeds"
    )
