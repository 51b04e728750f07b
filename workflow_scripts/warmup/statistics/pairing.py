"""Errors of differences between arms of a cell, paired by seed: the base of plateaus, comparisons and power.

With enough seeds each difference has its own paired variance and Student's t. With fewer (`pool_below`, 5) that is
hopeless (at two seeds and six arms the max-t point is 190), so the cells of a task are pooled: each cell keeps its own
*scale* (mean square of its seed x warmup residuals), and the *shape*, how the paired variance of each pair of arms
compares with that scale, is averaged over the cells. Plain pooling of the variances was tried and fails: where one of
four architectures is three times as noisy, its simultaneous coverage falls to about 0.5 (docs/statistics.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy
from numpy.typing import NDArray
from scipy import special

from warmup.statistics.intervals import Floats, all_pairs, max_t_critical, t_p_value, t_quantile
from warmup.statistics.outcomes import Cell

DRAWS = 40_000
"""Simulated null studies behind the critical values and p of the pooled form."""


@dataclass(frozen=True)
class PairedErrors:
    """Standard errors of mean differences between the arms of one cell, with their reference distributions.

    `errors` [arms, arms]: standard error of mean(i) - mean(j), zero on the diagonal; empty if `note` says why.
    `seeds`: complete seeds of the cell; `peers`: those of each pooled cell (none where nothing is pooled).
    `own` [arms, arms]: pairs that rest on their own paired variance although others are pooled (an arm with a diverged
    run has a spread of another kind).
    """

    errors: Floats
    seeds: int
    peers: tuple[int, ...] = ()
    note: str = ""
    own: NDArray[numpy.bool_] | None = None

    @property
    def known(self) -> bool:
        """True where the errors could be estimated."""
        return not self.note

    @property
    def method(self) -> str:
        """What the errors rest on, for a table's `method` column."""
        if not self.known:
            return ""
        return f"paired, scaled pooling over {1 + len(self.peers)} cells" if self.peers else "paired t"

    def reach(self, confidence: float) -> Floats:
        """Half widths [arms, arms] of the limits of each difference on its own."""
        own = t_quantile(0.5 + confidence / 2.0, self.seeds - 1)
        if not self.peers:
            return own * self.errors
        pooled = float(numpy.quantile(self._null().single, confidence))
        return numpy.where(self._separate(), own, pooled) * self.errors

    def simultaneous_reach(self, confidence: float) -> Floats:
        """Half widths [arms, arms] of limits that hold for all pairs of arms together (max-t).

        Where pooled pairs stand beside separate ones, each kind takes half of the error rate.
        """
        arms, separate = len(self.errors), self._separate()
        if not self.peers:
            return max_t_critical(all_pairs(arms), self.seeds - 1, confidence) * self.errors
        mixed = bool(separate.any())
        level = 0.5 + confidence / 2.0 if mixed else confidence
        pooled = float(numpy.quantile(self._null().largest, level))
        if not mixed:
            return pooled * self.errors
        contrasts = [row for row in all_pairs(arms) if separate[row.argmax(), row.argmin()]]
        own = max_t_critical(numpy.array(contrasts), self.seeds - 1, level)
        return numpy.where(separate, own, pooled) * self.errors

    def p_value(self, statistic: float, first: int = 0, second: int = 1) -> float:
        """Two-sided p of mean(first) - mean(second) (plus any constant) over its standard error."""
        if not self.peers or self._separate()[first, second]:
            return t_p_value(statistic, self.seeds - 1)
        null = self._null().single
        above = len(null) - int(numpy.searchsorted(null, abs(statistic), side="left"))
        return (above + 1.0) / (len(null) + 1.0)

    def power(self, gap: float, error: float, confidence: float) -> float:
        """Chance of finding, at `confidence` and with its sign, a difference that truly is `gap` > 0.

        `error` is its true standard error. Noncentral t, or its simulated counterpart where cells are pooled.
        """
        shift = gap / error
        if not self.peers:
            critical = t_quantile(0.5 + confidence / 2.0, self.seeds - 1)
            chance = 1.0 - float(special.nctdtr(self.seeds - 1, shift, critical))
        else:
            null = self._null()
            chance = float((null.normal + shift > float(numpy.quantile(null.single, confidence)) * null.ratio).mean())
        if not 0.0 <= chance <= 1.0:
            raise ArithmeticError(f"the noncentral t distribution failed at df {self.seeds - 1}, shift {shift:g}")
        return chance

    def ratio_draws(self, draws: int, generator: numpy.random.Generator) -> Floats:
        """Draws [draws] of estimated over true standard error of one difference."""
        if not self.peers:
            return numpy.sqrt(generator.chisquare(self.seeds - 1, draws) / (self.seeds - 1))
        return generator.choice(self._null().ratio, draws)

    def _separate(self) -> NDArray[numpy.bool_]:
        return numpy.zeros(self.errors.shape, dtype=numpy.bool_) if self.own is None else self.own

    def _null(self) -> "Null":
        calm = len(self.errors) if self.own is None else int((~self.own.all(axis=1)).sum())
        return null_distribution(self.seeds, self.peers, calm)


@dataclass(frozen=True)
class Null:
    """Simulated null of the pooled form: sorted |t| of single pairs, max |t| of a study, and one pair's two parts."""

    single: Floats
    largest: Floats
    normal: Floats
    ratio: Floats


def paired_errors(cell: Cell, others: Sequence[Cell], pool_below: int) -> PairedErrors:
    """Errors of `cell`, pooled with those of `others` that share its task and warmups if it has few seeds.

    Arms with a diverged run are kept out of the pooling: their differences rest on their own paired variance.
    """
    values = cell.complete
    seeds, arms = values.shape
    reason = refusal(cell)
    if reason:
        return PairedErrors(numpy.empty((0, 0)), seeds, note=reason)
    calm = ~cell.diverged.any(axis=0)
    peers = [other.complete[:, calm] for other in others if _poolable(cell, other)]
    pooled = seeds < pool_below and bool(peers) and calm.sum() >= 2 and _varies(values[:, calm])
    squares = _paired_variances(values)
    if pooled:
        scale = residual_mean_square(values[:, calm])
        shapes = [table / residual_mean_square(peer) for peer in peers for table in [_paired_variances(peer)]]
        shapes.append(squares[numpy.ix_(calm, calm)] / scale)
        squares[numpy.ix_(calm, calm)] = scale * numpy.mean(shapes, axis=0)
    errors = numpy.sqrt(squares / seeds)
    if not (errors[~numpy.eye(arms, dtype=bool)] > 0.0).all():
        return PairedErrors(numpy.empty((0, 0)), seeds, note="some differences do not vary between seeds")
    if not pooled:
        return PairedErrors(errors, seeds)
    own = None if calm.all() else numpy.logical_not(numpy.outer(calm, calm))
    return PairedErrors(errors, seeds, tuple(sorted(len(peer) for peer in peers)), own=own)


def refusal(cell: Cell) -> str:
    """Why nothing can be said about differences between the arms of `cell`; empty if something can."""
    seeds, arms = cell.complete.shape
    missing = f" ({cell.missing} runs missing)" if cell.missing else ""
    if arms < 2:
        return "one warmup only"
    if cell.hopeless:
        return "every run diverged"
    if seeds == 0:
        return f"no seed has every warmup{missing}"
    if seeds == 1:
        return f"one seed has no spread{missing}"
    if not _varies(cell.complete):
        return "the outcomes do not vary between seeds"
    return ""


def residual_mean_square(values: Floats) -> float:
    """Mean square of `values` [seeds, arms] after the seeds' and the arms' means are taken out."""
    seeds, arms = values.shape
    left = values - values.mean(axis=1, keepdims=True)
    left = left - left.mean(axis=0, keepdims=True)
    return float((left**2).sum() / ((seeds - 1) * (arms - 1)))


def _paired_variances(values: Floats) -> Floats:
    """Variance over seeds of the difference of each pair of arms [arms, arms] of `values` [seeds, arms]."""
    centred = values - values.mean(axis=0)
    covariance = centred.T @ centred / (len(values) - 1)
    own = numpy.diag(covariance)
    variances = numpy.maximum(own[:, None] + own[None, :] - 2.0 * covariance, 0.0)
    variances[variances < 1e-24 * max(1e-300, float((values**2).max()))] = 0.0
    return variances


def _varies(values: Floats) -> bool:
    if values.shape[1] < 2:
        return False
    return residual_mean_square(values) > 1e-24 * float((values**2).max())


def _poolable(cell: Cell, other: Cell) -> bool:
    """Same task, same warmups, something to say, no diverged run, and spread in the arms of `cell` without one."""
    return (
        other is not cell
        and other.task == cell.task
        and numpy.array_equal(other.warmups, cell.warmups)
        and not refusal(other)
        and not other.diverged.any()
        and _varies(other.complete[:, ~cell.diverged.any(axis=0)])
    )


@lru_cache(maxsize=64)
def null_distribution(seeds: int, peers: tuple[int, ...], arms: int) -> Null:
    """The pooled statistic when no arm differs: normal outcomes, equal spread of the arms, any scale of the cells."""
    generator = numpy.random.default_rng(20_260_717)
    pairs = all_pairs(arms).T  # [arms, m]
    batch = max(1, 2_000_000 // ((seeds + sum(peers)) * pairs.shape[1]))
    single, largest, normal, ratio = [], [], [], []
    for start in range(0, DRAWS, batch):
        count = min(batch, DRAWS - start)
        own = generator.standard_normal((count, seeds, arms))
        mean = own.mean(axis=1) @ pairs
        scale, shape = _scale_and_shape(own, pairs)
        for size in peers:
            shape = shape + _scale_and_shape(generator.standard_normal((count, size, arms)), pairs)[1]
        error = numpy.sqrt(scale[:, None] * shape / (1 + len(peers)) / seeds)
        statistic = numpy.abs(mean) / error
        single.append(statistic.ravel())
        largest.append(statistic.max(axis=1))
        normal.append(mean[:, 0] / (2.0 / seeds) ** 0.5)
        ratio.append(error[:, 0] / (2.0 / seeds) ** 0.5)
    return Null(numpy.sort(numpy.concatenate(single)), *map(numpy.concatenate, (largest, normal, ratio)))


def _scale_and_shape(values: Floats, pairs: Floats) -> tuple[Any, Any]:
    """Residual mean squares [draws] of `values` [draws, seeds, arms], paired variances over them [draws, m]."""
    _, seeds, arms = values.shape
    centred = values - values.mean(axis=1, keepdims=True)
    variances = ((centred @ pairs) ** 2).sum(axis=1) / (seeds - 1)
    left = centred - centred.mean(axis=2, keepdims=True)
    scale = (left**2).sum(axis=(1, 2)) / ((seeds - 1) * (arms - 1))
    return scale, variances / scale[:, None]
