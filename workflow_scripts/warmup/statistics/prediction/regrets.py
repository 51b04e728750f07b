"""What a warmup costs that was chosen without looking at the cell: regret with limits that its own noise leaves valid.

Regret = outcome at the warmup less the smallest outcome over the warmups, as a share of the loss. The best warmup is
not known, and whichever noise chose it moves the regret one way. Against the smallest mean of the same seeds it is too
large (a minimum of noisy means lies below the true minimum); against the warmup that other seeds chose it is too small
(that one is no better than the best). So upper limits rest on the first, lower limits on the second. In: curves and
positions. Out: the regret of a cell, and means over cells with limits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb
from typing import Any

import numpy as np

from warmup.statistics.base.intervals import paired_t, t_quantile
from warmup.statistics.prediction.maps import Curve, Floats

MOST_HALVINGS = 400
"""Halvings of the seeds tried; up to ten seeds these are all."""


@dataclass(frozen=True)
class Regret:
    """Regret in one cell as a share of the loss: against the lowest mean, and against the warmup other seeds chose.

    `square`: squared standard error of both; `noise`: what the first is on average where all warmups are alike. Null
    with one seed.
    """

    against_lowest: float
    against_chosen: float | None
    square: float | None
    noise: float | None
    seeds: int


def regret(curve: Curve, position: float) -> Regret:
    """Regret of `position` in a cell whose seeds did not choose it."""
    costs = (curve.at(position)[:, None] - curve.values) / curve.scale  # [seeds, warmups]
    seeds = len(costs)
    lowest = float(costs.mean(0).max())
    if seeds < 2:
        return Regret(lowest, None, None, None, seeds)
    selecting, held_out = halvings(seeds)
    chosen = (selecting @ curve.values).argmin(axis=1)
    crossed = float((held_out * costs[:, chosen].T).sum(axis=1).mean())
    squares = costs.var(0, ddof=1) / seeds
    beside = squares[squares > 1e-12 * squares.max()] if squares.max() > 0 else squares
    return Regret(lowest, crossed, float(beside.mean()), noise_regret(curve), seeds)


def noise_regret(curve: Curve) -> float:
    """Mean `against_lowest` of any fixed warmup if no warmup were better than another: the expected smallest of as many
    normal means, with the spread of the cell's residuals after seeds and warmups are taken out.
    """
    seeds, warmups = curve.values.shape
    left = curve.values - curve.values.mean(1, keepdims=True)
    left = left - left.mean(0, keepdims=True)
    spread = float(np.sqrt((left**2).sum() / ((seeds - 1) * (warmups - 1)) / seeds))
    return spread * expected_extreme(warmups) / curve.scale


@lru_cache(maxsize=64)
def expected_extreme(count: int) -> float:
    """Expected largest of `count` independent standard normal numbers, by the integral of x d(Phi^count)."""
    from scipy import special

    x = np.linspace(-9.0, 9.0, 20_001)
    above, below = x[x >= 0], x[x <= 0]
    return float(
        np.trapezoid(1.0 - special.ndtr(above) ** count, above) - np.trapezoid(special.ndtr(below) ** count, below)
    )


@lru_cache(maxsize=64)
def halvings(seeds: int) -> tuple[Floats, Floats]:
    """Indicator of the seeds that choose, and weights (each row sums to 1) of those held out [halvings, seeds]."""
    sizes = sorted({seeds // 2, seeds - seeds // 2})
    if sum(comb(seeds, size) for size in sizes) <= MOST_HALVINGS:
        halves = [half for size in sizes for half in combinations(range(seeds), size)]
    else:
        rng = np.random.default_rng(20_260_716)
        halves = [tuple(rng.permutation(seeds)[: sizes[i % len(sizes)]].tolist()) for i in range(MOST_HALVINGS)]
    selecting = np.zeros((len(halves), seeds))
    for row, half in enumerate(halves):
        selecting[row, list(half)] = 1.0
    left = 1.0 - selecting
    return selecting, left / left.sum(axis=1, keepdims=True)


def mean_regret_columns(found: Sequence[Regret], groups: Sequence[str], confidence: float) -> dict[str, Any]:
    """Mean over cells, `regret`, with two pairs of limits, and `noise_regret`: what noise alone makes of it.

    `_low`, `_high`: seed noise alone, these cells given (Welch-Satterthwaite over cells); `_new_low`, `_new_high`: t
    over the held-out groups, for an architecture (or task) not yet seen. Null where a cell has one seed or there is
    one group.
    """
    lowest = np.array([one.against_lowest for one in found])
    row: dict[str, Any] = dict.fromkeys(
        ("regret_low", "regret_high", "regret_new_low", "regret_new_high", "noise_regret")
    )
    row["regret"] = centre = float(lowest.mean())
    if any(one.against_chosen is None for one in found):
        return row
    chosen = np.array([one.against_chosen for one in found], dtype=np.float64)
    half = mean_half_width([(one.square or 0.0, one.seeds) for one in found], confidence)
    row |= {"regret_low": _not_below_zero(chosen.mean() - half, centre), "regret_high": centre + half}
    row["noise_regret"] = float(np.mean([one.noise for one in found if one.noise is not None]))
    names = list(dict.fromkeys(groups))
    member = np.array([[group == name for group in groups] for name in names])
    below, above = (paired_t([values[one].mean() for one in member], confidence) for values in (chosen, lowest))
    if below.low is not None and above.high is not None:
        row |= {"regret_new_low": _not_below_zero(below.low, centre), "regret_new_high": above.high}
    return row


def mean_half_width(squares: Sequence[tuple[float, int]], confidence: float) -> float:
    """Half width of the mean over cells from each one's squared standard error and seeds, by Welch-Satterthwaite."""
    parts, freedoms = np.array([square for square, _ in squares]), np.array([seeds - 1 for _, seeds in squares])
    total = float(parts.sum())
    freedom = total**2 / float((parts**2 / freedoms).sum()) if total > 0 else 1.0
    return float(t_quantile(0.5 + confidence / 2, freedom) * total**0.5 / len(parts))


def _not_below_zero(low: float, estimate: float) -> float:
    """A regret is never negative, and its lower limit does not exceed the estimate."""
    return float(min(max(low, 0.0), estimate))
