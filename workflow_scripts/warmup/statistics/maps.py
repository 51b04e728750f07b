"""From a diagnostic to a warmup: simple maps, fitted to the regret they would have caused on the training cells.

Positions are z = log(fraction + offset). A map is fitted by exhaustive search over a grid of positions, minimising
the mean relative regret of the training cells; a constant is among the candidates of every map, so that a useless
diagnostic fits as the best constant does. In: `Curves` and log diagnostics. Out: a function from log diagnostic to
position.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from warmup.statistics.outcomes import Cell

Floats = NDArray[np.float64]
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

    @property
    def z(self) -> Floats:
        """Positions of the warmups."""
        return np.log(self.warmups + self.offset)

    @property
    def best(self) -> int:
        """Index of the smallest mean outcome; ties to the smaller warmup."""
        return int(self.values.mean(0).argmin())

    def at(self, position: float) -> Floats:
        """Outcome of every seed [S] at `position`, held within the warmups that were run."""
        return np.array([np.interp(position, self.z, row) for row in self.values])

    def regret(self, positions: Floats) -> Floats:
        """Relative regret of the mean curve at `positions`, of their shape: (outcome - smallest) / |smallest|."""
        mean = self.values.mean(0)
        return (np.interp(positions, self.z, mean) - mean.min()) / abs(mean.min())

    def seed_regrets(self, position: float) -> Floats:
        """Relative regret of every seed [S] against the cell's best warmup, paired."""
        return (self.at(position) - self.values[:, self.best]) / abs(float(self.values.mean(0).min()))

    def position(self, fraction: float) -> float:
        """Position of a warmup fraction, held within the warmups that were run."""
        return float(np.log(np.clip(fraction, self.warmups[0], self.warmups[-1]) + self.offset))

    def fraction(self, position: float) -> float:
        """Warmup fraction of a position, held within the warmups that were run."""
        return float(np.clip(np.exp(position) - self.offset, self.warmups[0], self.warmups[-1]))


def curve(cell: Cell, offset: float) -> Curve:
    """The curve of a cell's complete seeds."""
    return Curve(cell.architecture, cell.task, cell.recipe, cell.steps, offset, cell.warmups, cell.complete)


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
    """z = a + b (u - mean u) / sd u, b >= 0, with the smallest mean regret on `curves`; `u` [C] their log
    diagnostics.
    """
    positions, centre, spread = grid(curves), u.mean(), u.std()
    slopes = np.array(SLOPES if spread > 0 else SLOPES[:1])
    scaled = (u - centre) / (spread or 1.0)
    z = positions[None, :, None] + slopes[:, None, None] * scaled  # [slopes, positions, C]
    costs = np.mean([c.regret(z[..., index]) for index, c in enumerate(curves)], axis=0)
    slope, start = np.unravel_index(_first_smallest(costs), costs.shape)
    a, b = positions[start], slopes[slope] / (spread or 1.0)
    return lambda new: np.clip(a + b * (new - centre), positions[0], positions[-1])


def monotone(curves: Sequence[Curve], u: Floats) -> Fitted:
    """The non-decreasing step map with the smallest mean regret (isotonic regression under regret, by dynamic
    programming).

    Between the training diagnostics it is linear in u, outside it is constant. Equal diagnostics share a level.
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
    """Flat index of the first cost within rounding of the smallest: ties go to the flatter map and the shorter
    warmup.
    """
    return int(np.argmax(costs.ravel() <= costs.min() + TIE))
