"""Warmup-stable-decay (Hu et al., arXiv 2404.06395): a plateau, then a tail down to the floor.

`plateau` is the height of the plateau as a share of the peak: warmup ends there, and the tail goes from there to
`floor` (a share of the peak as everywhere). So recipes that differ only in `plateau` end at the same rate after a
decay of the same length: the comparison that the Mpemba model of [S2] is about.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warmup.errors import ConfigurationError
from warmup.schedules._options import Option

Tail = Callable[[NDArray[np.float64], float, float], NDArray[np.float64]]


def _one_minus_sqrt(s: NDArray[np.float64], top: float, end: float) -> NDArray[np.float64]:
    return end + (top - end) * (1 - np.sqrt(s))


def _linear(s: NDArray[np.float64], top: float, end: float) -> NDArray[np.float64]:
    return end + (top - end) * (1 - s)


def _cosine(s: NDArray[np.float64], top: float, end: float) -> NDArray[np.float64]:
    return end + (top - end) * 0.5 * (1 + np.cos(np.pi * s))


def _exponential(s: NDArray[np.float64], top: float, end: float) -> NDArray[np.float64]:
    return top * (end / top) ** s


def _inverse_time(s: NDArray[np.float64], top: float, end: float) -> NDArray[np.float64]:
    return 1 / (1 / top + s * (1 / end - 1 / top))


TAILS: dict[str, Tail] = {
    "1-sqrt": _one_minus_sqrt,
    "linear": _linear,
    "cosine": _cosine,
    "exponential": _exponential,
    "inverse_time": _inverse_time,
}
"""Tail by name: (share s of the tail done, rate at its beginning, rate at its end) -> rate; warmup.theory's as well."""

NEED_A_POSITIVE_END = ("exponential", "inverse_time")
"""Tails that never reach a rate of zero."""

FORMULA = (
    "lr = peak · plateau, then for the last decay_fraction of all updates, u = share of them done: "
    "peak · (floor + (plateau − floor) · tail(u)), tail = 1 − √u | 1 − u | ½ (1 + cos πu); "
    "exponential: plateau (floor/plateau)^u; inverse_time: 1 / ((1 − u)/plateau + u/floor)"
)
OPTIONS = {
    "plateau": Option(1.0, "height of the plateau, share of the peak", above=0, up_to=100),
    "decay_fraction": Option(0.2, "share of all updates, warmup included, that the tail takes", above=0, up_to=1),
    "tail": Option("1-sqrt", "shape of the tail", choices=tuple(TAILS)),
}


def shares(
    updates: NDArray[np.float64], length: int, warmup_steps: int, floor: float, options: Mapping[str, Any]
) -> NDArray[np.float64]:
    """`plateau`, and over the last round(decay_fraction x steps) updates the tail from there to `floor`."""
    top, tail = options["plateau"], options["tail"]
    if floor > top:
        raise ConfigurationError(f"floor: {floor:g} of the peak lies above schedule_options.plateau, {top:g}")
    if floor == 0 and tail in NEED_A_POSITIVE_END:
        raise ConfigurationError(f"floor: the tail {tail!r} never reaches 0; give a floor above 0 or another tail")
    if length == 0:
        return np.full_like(updates, top)
    decay = math.floor(options["decay_fraction"] * (length + warmup_steps) + 0.5)
    if not 1 <= decay <= length:
        raise ConfigurationError(
            f"schedule_options.decay_fraction: {options['decay_fraction']:g} of {length + warmup_steps} updates is a "
            f"tail of {decay}, and {warmup_steps} warmup steps leave {length}; the tail needs 1 to {length}"
        )
    done = np.clip((updates - (length - decay)) / decay, 0, 1)
    return TAILS[tail](done, top, floor)
