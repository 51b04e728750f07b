"""From a diagnostic to a warmup: simple maps, fitted to the regret they would have caused on the training cells.

Positions are z = log(fraction + offset). A map is fitted by exhaustive search over a grid of positions, minimising
the mean relative regret of the training cells; a constant is among the candidates of every map, so that a useless
diagnostic fits as the best constant does. In: `Curves` and log diagnostics. Out: a function from log diagnostic to
position.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from warmup.statistics.base.intervals import Floats
from warmup.statistics.base.outcomes import Cell

Fitted = Callable[[Floats], Floats]

POSITIONS = 41
"""Grid of positions that a fit chooses from, evenly spaced in z over the warmups tried."""
SLOPES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Slopes of the log-linear map, in z per standard deviation of the log diagnostic; never negative."""
TIE = 1e-12


@dataclass(frozen=True)
class Curve:
    """A cell's outcomes, paired by seed, as a function of position: linear between the warmups that were run.

    `values` [S, W] complete seeds; `z` [W] their positions; regrets are relative to the smallest mean outcome.
    """

    architecture: str
    task: str
    recipe: str
    steps: int
    offset: float
    warmups: Floats
    values: Floats
    lineage: str = ""

    def group(self, axis: str) -> str:
        """What leaves with this cell on `axis` ("architecture" or "task"): with an architecture its relatives do."""
        return self.task if axis == "task" else self.lineage or self.architecture

    @cached_property
    def z(self) -> Floats:
        """Positions of the warmups."""
        return np.log(self.warmups + self.offset)

    @cached_property
    def mean(self) -> Floats:
        """Mean outcome at each warmup [W]."""
        return self.values.mean(0)

    @cached_property
    def best(self) -> int:
        """Index of the smallest mean outcome; ties to the smaller warmup."""
        return int(self.mean.argmin())

    @cached_property
    def around_best(self) -> tuple[float, float]:
        """Positions between which the best warmup lies, tried or not: the warmups beside the best one tried, and no
        warmup and all of training beyond the ends of the grid (one valley assumed).
        """
        ends = np.log(np.array([0.0, 1.0]) + self.offset)
        beside = np.concatenate([ends[:1], self.z, ends[1:]])
        return float(beside[self.best]), float(beside[self.best + 2])

    @cached_property
    def relative(self) -> Floats:
        """Relative regret of the mean outcome at each warmup [W]: (outcome - smallest) / |smallest|."""
        return (self.mean - self.mean[self.best]) / self.scale

    @property
    def scale(self) -> float:
        """|smallest mean outcome|: what regrets are relative to."""
        return abs(float(self.mean[self.best]))

    def at(self, position: float) -> Floats:
        """Outcome of every seed [S] at `position`, held within the warmups that were run."""
        left, share = _between(self.z, np.array(position))
        return (1.0 - share) * self.values[:, left] + share * self.values[:, left + 1]

    def regret(self, positions: Floats) -> Floats:
        """Relative regret of the mean curve at `positions`, of their shape."""
        return np.interp(positions, self.z, self.relative)

    def seed_regrets(self, position: float) -> Floats:
        """Relative regret of every seed [S] against the cell's best warmup, paired."""
        return (self.at(position) - self.values[:, self.best]) / self.scale

    def position(self, fraction: float) -> float:
        """Position of a warmup fraction, held within the warmups that were run."""
        return float(np.log(np.clip(fraction, self.warmups[0], self.warmups[-1]) + self.offset))

    def fraction(self, position: float) -> float:
        """Warmup fraction of a position, held within the warmups that were run."""
        return float(np.clip(np.exp(position) - self.offset, self.warmups[0], self.warmups[-1]))


def curve(cell: Cell, offset: float) -> Curve:
    """The curve of a cell's complete seeds."""
    place = (cell.architecture, cell.task, cell.recipe)
    return Curve(*place, cell.steps, offset, cell.warmups, cell.block.complete, cell.lineage)


def mean_regrets(curves: Sequence[Curve], positions: Floats) -> Floats:
    """Mean over `curves` of their regret at positions [..., C], one for each.

    All at once where the curves share their warmups.
    """
    first = curves[0].z
    if any(not np.array_equal(c.z, first) for c in curves):
        return np.mean([c.regret(positions[..., index]) for index, c in enumerate(curves)], axis=0)
    regrets = np.stack([c.relative for c in curves])
    left, share = _between(first, positions)
    cells = np.arange(len(curves))
    return ((1.0 - share) * regrets[cells, left] + share * regrets[cells, left + 1]).mean(-1)


def _between(z: Floats, positions: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Index of the warmup to the left of each position, and how far it lies towards the next (0 to 1)."""
    left = np.clip(np.searchsorted(z, positions, side="right") - 1, 0, len(z) - 2)
    return left, np.clip((positions - z[left]) / (z[left + 1] - z[left]), 0.0, 1.0)


def grid(curves: Sequence[Curve]) -> Floats:
    """Positions a fit may choose from [41]."""
    return np.linspace(min(c.z[0] for c in curves), max(c.z[-1] for c in curves), POSITIONS)


def constant(curves: Sequence[Curve]) -> Fitted:
    """The one position with the smallest mean regret on `curves`; ties to the smaller."""
    positions = grid(curves)
    costs = np.mean([c.regret(positions) for c in curves], axis=0)
    chosen = positions[_first_smallest(costs)]
    return lambda u: np.full(np.shape(u), chosen)


def log_linear(curves: Sequence[Curve], u: Floats) -> Fitted:
    """z = a + b (u - mean u) / sd u, b >= 0, with the smallest mean regret on `curves`.

    `u` [C]: their log diagnostics.
    """
    positions, centre, spread = grid(curves), u.mean(), u.std()
    slopes = np.array(SLOPES if spread > 0 else SLOPES[:1])
    scaled = (u - centre) / (spread or 1.0)
    z = positions[None, :, None] + slopes[:, None, None] * scaled  # [slopes, positions, C]
    costs = mean_regrets(curves, z)
    slope, start = np.unravel_index(_first_smallest(costs), costs.shape)
    a, b = positions[start], slopes[slope] / (spread or 1.0)
    return lambda new: np.clip(a + b * (new - centre), positions[0], positions[-1])


def monotone(curves: Sequence[Curve], u: Floats) -> Fitted:
    """The non-decreasing step map with the smallest mean regret.

    Isotonic regression under regret, by dynamic programming. Between the training diagnostics it is linear in u,
    outside it is constant. Equal diagnostics share a level.
    """
    positions = grid(curves)
    levels, owner = np.unique(u, return_inverse=True)
    costs = np.zeros((len(levels), POSITIONS))
    for index, c in enumerate(curves):
        costs[owner[index]] += c.regret(positions)
    best = costs.copy()
    for row in range(1, len(levels)):
        best[row] += np.minimum.accumulate(best[row - 1])
    chosen, end = np.empty(len(levels), dtype=np.int64), POSITIONS
    for row in reversed(range(len(levels))):
        chosen[row] = _first_smallest(best[row, :end])
        end = chosen[row] + 1
    return lambda new: np.interp(new, levels, positions[chosen])


MAPS: dict[str, Callable[[Sequence[Curve], Floats], Fitted]] = {"log_linear": log_linear, "monotone": monotone}


def _first_smallest(costs: Floats) -> int:
    """Flat index of the first cost within rounding of the smallest.

    So ties go to the flatter map and the shorter warmup.
    """
    return int(np.argmax(costs.ravel() <= costs.min() + TIE))
