"""Measures of association between the spike ratio and the optimal warmup of cells, for many resamples at once.

In: arrays whose last axis is the cell. Out: coefficients, one per leading index. Weights allow a resample (how often an
architecture was drawn) and a missing cell (weight 0) without building new arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from warmup.statistics.base.intervals import Floats

Ints = NDArray[np.int64]

MEASURES = ("pearson", "spearman", "log_log", "within_task")
"""pearson: log spike ratio with the optimal fraction ([S0]); spearman: their ranks; log_log: with log(fraction +
offset); within_task: Pearson after the mean of each task is taken from both.
"""

PAIRS_AT_ONCE = 1_000_000
"""Pairs of cells compared at once for ranks: bounds memory, and keeps it in the processor's cache."""
LIMIT = 1.0 - 1e-9
"""Coefficients are held this close to 1 before Fisher's z, whose infinity would swallow every average."""


@dataclass(frozen=True)
class Points:
    """Cells of a design.

    Per cell `x` [S_c] log spike ratio and `y` [S_c, W_c] outcome of every seed; `warmups` [W_c] fractions.
    """

    architectures: tuple[str, ...]
    tasks: tuple[str, ...]
    recipes: tuple[str, ...]
    warmups: tuple[Floats, ...]
    x: tuple[Floats, ...]
    y: tuple[Floats, ...]
    offset: float
    lineages: tuple[str, ...] = ()
    """Whose relative each cell's architecture is; empty if nobody is anybody's."""

    @property
    def cells(self) -> int:
        """Number of cells."""
        return len(self.x)

    @property
    def seeds(self) -> int:
        """Seeds of the cell that has the fewest."""
        return min((len(values) for values in self.x), default=0)

    @property
    def names(self) -> list[str]:
        """Architectures in order of appearance."""
        return list(dict.fromkeys(self.architectures))

    @property
    def lineages_of_names(self) -> list[str]:
        """The lineage of each of `names`."""
        of = dict(zip(self.architectures, self.lineages or self.architectures, strict=True))
        return [of[name] for name in self.names]

    def without(self, architecture: str) -> "Points":
        """The same design less one architecture."""
        keep = [index for index, name in enumerate(self.architectures) if name != architecture]
        return points([cell for index, cell in enumerate(self.rows()) if index in keep], self.offset)

    def rows(self) -> "list[PointRow]":
        """One tuple per cell, in the order of the fields."""
        return list(zip(self.architectures, self.tasks, self.recipes, self.warmups, self.x, self.y, strict=True))


PointRow = tuple[str, str, str, Floats, Floats, Floats]


def points(rows: Sequence[PointRow], offset: float) -> Points:
    """A design from its cells; `offset` is what `log_log` adds to a fraction before the logarithm."""
    architectures, tasks, recipes, warmups, x, y = zip(*rows, strict=True) if rows else ((),) * 6
    return Points(architectures, tasks, recipes, warmups, x, y, offset)


def task_matrix(tasks: Sequence[str]) -> Floats:
    """Indicator [cells, tasks]."""
    names = list(dict.fromkeys(tasks))
    return np.array([[float(task == name) for name in names] for task in tasks])


def coefficient(
    measure: str, x: Floats, w: Floats, tasks: Floats, offset: float, weights: Floats | None = None
) -> Floats:
    """Coefficient over the last axis of `x` (log spike ratio) and `w` (optimal fraction), broadcast.

    `tasks` is `task_matrix`; `weights` (broadcast alike) default to 1. NaN where undefined: fewer than 3 cells of
    positive weight, or no variance.
    """
    y = np.log(w + offset) if measure == "log_log" else w
    if weights is None:
        x, y = np.broadcast_arrays(x, y)
        weights = np.ones(x.shape)
    else:
        x, y, weights = np.broadcast_arrays(x, y, weights)
    if measure == "spearman":
        x, y = _ranks(x, weights), _ranks(y, weights)
    if measure == "within_task":
        x, y = less_group_means(x, weights, tasks), less_group_means(y, weights, tasks)
    return _pearson(x, y, weights)


def _pearson(x: Floats, y: Floats, weights: Floats) -> Floats:
    total = weights.sum(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        dx = x - (weights * x).sum(-1, keepdims=True) / total
        dy = y - (weights * y).sum(-1, keepdims=True) / total
        xx, yy, xy = (weights * dx * dx).sum(-1), (weights * dy * dy).sum(-1), (weights * dx * dy).sum(-1)
        r = xy / np.sqrt(xx * yy)
        flat = (xx <= _round_off(x, weights)) | (yy <= _round_off(y, weights)) | ((weights > 0).sum(-1) < 3)
    return np.where(flat, np.nan, np.clip(r, -1.0, 1.0))


def _round_off(values: Floats, weights: Floats) -> Floats:
    """Sum of squares that arithmetic alone can leave of equal values."""
    scale = np.abs(values).max(-1) if values.shape[-1] else np.zeros(values.shape[:-1])
    return (1e-13 * scale) ** 2 * weights.sum(-1)


def _ranks(values: Floats, weights: Floats) -> Floats:
    """Midranks over the last axis, each value counted `weights` times; in blocks, since it compares all pairs of
    cells.
    """
    cells = values.shape[-1]
    flat, counts = values.reshape(-1, cells), weights.reshape(-1, cells)
    ranks = np.empty(flat.shape)
    block = max(1, PAIRS_AT_ONCE // max(1, cells * cells))
    for start in range(0, len(flat), block):
        part, times = flat[start : start + block], counts[start : start + block, None, :]
        below = ((part[:, None, :] < part[:, :, None]) * times).sum(-1)
        equal = ((part[:, None, :] == part[:, :, None]) * times).sum(-1)
        ranks[start : start + block] = below + (equal + 1.0) / 2.0
    return ranks.reshape(values.shape)


def less_group_means(values: Floats, weights: Floats, groups: Floats) -> Floats:
    """`values` [..., cells] less the weighted mean of their group; `groups` [cells, groups] is an indicator."""
    size = weights @ groups
    means = np.divide((weights * values) @ groups, size, out=np.zeros(np.shape(size)), where=size > 0)
    return values - means @ groups.T


def optimum(curves: Floats, warmups: Floats) -> Floats:
    """Fraction of the smallest mean outcome over the last axis; ties to the smaller."""
    return warmups[curves.argmin(-1)]


def fold_values(
    x: Sequence[Floats], y: Sequence[Floats], warmups: Sequence[Floats], folds: int
) -> tuple[Floats, Floats]:
    """Cross-fitted pairs [..., folds, cells]: spike of fold k, optimum of the others.

    From per-cell `x` [..., S] and `y` [..., S, W]. Seed number i is of fold i mod `folds`; one fold means no
    cross-fitting: both from all seeds.
    """
    spike, best = [], []
    for values, outcomes, grid in zip(x, y, warmups, strict=True):
        member = np.arange(values.shape[-1]) % folds
        inside = [member == fold for fold in range(folds)]
        outside = [member != fold if folds > 1 else member == fold for fold in range(folds)]
        spike.append(np.stack([values[..., chosen].mean(-1) for chosen in inside], -1))
        best.append(np.stack([optimum(outcomes[..., chosen, :].mean(-2), grid) for chosen in outside], -1))
    return np.stack(spike, -1), np.stack(best, -1)


def average(coefficients: Floats) -> Floats:
    """Mean over the last axis (folds) on Fisher's z scale; NaN if any is."""
    return np.tanh(np.arctanh(np.clip(coefficients, -LIMIT, LIMIT)).mean(-1))


def pooled(
    measure: str, spike: Floats, best: Floats, tasks: Floats, offset: float, weights: Floats | None = None
) -> Floats:
    """`coefficient` of cross-fitted pairs [..., folds, cells], averaged over folds; `weights` [..., cells]."""
    spread = None if weights is None else weights[..., None, :]
    return average(coefficient(measure, spike, best, tasks, offset, spread))
