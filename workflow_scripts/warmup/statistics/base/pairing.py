"""Errors of differences between arms of a block, paired by seed: the base of plateaus, comparisons and power.

With enough seeds each difference has its own paired variance and Student's t. With fewer (`pool_below`, 5) that is
hopeless (at two seeds and six arms the max-t point is 190), so the cells of a task are pooled: each cell keeps its own
*scale* (mean square of its seed x warmup residuals), and the *shape*, how the paired variance of each pair of arms
compares with that scale, is averaged over the cells. Plain pooling of the variances was tried and fails: where one of
four architectures is three times as noisy, its simultaneous coverage falls to about 0.5 (docs/statistics.md). Arms may
differ in spread, too (no warmup is often the noisiest), so the reference distribution is simulated with the arms'
estimated spreads.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy
from numpy.typing import NDArray
from scipy import special

from warmup.statistics.base.blocks import Block
from warmup.statistics.base.intervals import Floats, all_pairs, max_t_critical, t_p_value, t_quantile
from warmup.statistics.base.outcomes import Cell

ONE_WARMUP = "one warmup only"
"""Why a cell that was never swept has no answer."""

DRAWS = 40_000
"""Simulated null studies behind critical values and p of the pooled form."""
SPREAD_STEP = 0.5
"""Arms' relative spreads enter the simulation rounded to this step of log2, so that its results can be shared."""
SMALLEST_SHARE = 0.05
"""Floor of an arm's variance relative to the mean over arms (estimates may be negative)."""


@dataclass(frozen=True)
class PairedErrors:
    """Standard errors of mean differences between the arms of one block, with their reference distributions.

    `errors` [arms, arms]: standard error of mean(i) - mean(j), zero on the diagonal and between arms whose outcomes are
    the same number in every seed (recipes that never differ, runs that diverge at once); empty if `note` says why.
    `seeds`: complete seeds of the block; `peers`: those of each pooled one (none where nothing is pooled).
    `own` [arms, arms]: pairs that rest on their own paired variance although others are pooled (an arm with a diverged
    run has a spread of another kind). `spread`: relative spreads of the pooled arms, as they enter the simulation.
    `draws`: simulated null studies behind critical values and p.
    """

    errors: Floats
    seeds: int
    peers: tuple[int, ...] = ()
    note: str = ""
    own: NDArray[numpy.bool_] | None = None
    spread: tuple[float, ...] = ()
    draws: int = DRAWS

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
        pooled = self._placed(numpy.quantile(self._null().single, confidence, axis=1))
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

    def statistic(self, distance: float, first: int = 0, second: int = 1) -> float:
        """`distance` over the standard error of mean(first) - mean(second); beyond every number where that is zero."""
        error = float(self.errors[first, second])
        if error > 0.0:
            return distance / error
        return 0.0 if distance == 0.0 else math.copysign(math.inf, distance)

    def p_value(self, statistic: float, first: int = 0, second: int = 1) -> float:
        """Two-sided p of mean(first) - mean(second) (plus any constant) over its standard error."""
        if not self.peers or self._separate()[first, second]:
            return t_p_value(statistic, self.seeds - 1)
        calm = self._calm().tolist()
        pair = _pairs(len(calm)).index(tuple(sorted((calm.index(first), calm.index(second)))))
        null = self._null().single[pair]
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
            critical_values = numpy.quantile(null.single, confidence, axis=1)[:, None]
            chance = float((null.normal + shift > critical_values * null.ratio).mean())
        if not 0.0 <= chance <= 1.0:
            raise ArithmeticError(f"the noncentral t distribution failed at df {self.seeds - 1}, shift {shift:g}")
        return chance

    def ratio_draws(self, draws: int, generator: numpy.random.Generator) -> Floats:
        """Draws [draws] of estimated over true standard error of one difference."""
        if not self.peers:
            return numpy.sqrt(generator.chisquare(self.seeds - 1, draws) / (self.seeds - 1))
        return generator.choice(self._null().ratio.ravel(), draws).astype(numpy.float64)

    def _separate(self) -> NDArray[numpy.bool_]:
        return numpy.zeros(self.errors.shape, dtype=numpy.bool_) if self.own is None else self.own

    def _calm(self) -> NDArray[numpy.int64]:
        """Indices of the pooled arms."""
        return numpy.flatnonzero(~self._separate().all(axis=1))

    def _placed(self, values: Any) -> Floats:
        """`values` of the pairs of pooled arms as a symmetric matrix [arms, arms], zero elsewhere."""
        calm, table = self._calm(), numpy.zeros(self.errors.shape)
        for value, (i, j) in zip(values, _pairs(len(calm)), strict=True):
            table[calm[i], calm[j]] = table[calm[j], calm[i]] = value
        return table

    def _null(self) -> "Null":
        return null_distribution(self.seeds, self.peers, self.spread or (1.0,) * len(self._calm()), self.draws)


@dataclass(frozen=True)
class Null:
    """Simulated null of the pooled form: |t| of each pair, sorted [m, draws]; max |t| of a study [draws]; a pair's
    difference over its true error, and its estimated error over the true one [m, draws].
    """

    single: Any
    largest: Any
    normal: Any
    ratio: Any


def _pairs(arms: int) -> list[tuple[int, int]]:
    return list(combinations(range(arms), 2))


def study_errors(cells: Sequence[Cell], pool_below: int, draws: int = DRAWS) -> list[PairedErrors]:
    """Errors of every cell of a study; those of few seeds are pooled with the other cells of their task."""
    return [
        paired_errors(cell.block, [other.block for other in cells if other.task == cell.task], pool_below, draws)
        for cell in cells
    ]


def paired_errors(block: Block, others: Sequence[Block], pool_below: int, draws: int = DRAWS) -> PairedErrors:
    """Errors of `block`, pooled with those of `others` (itself aside) that have its arms if it has few seeds.

    Arms with a diverged run are kept out of the pooling: their differences rest on their own paired variance.
    """
    values = block.complete
    seeds = len(values)
    reason = refusal(block)
    if reason:
        return PairedErrors(numpy.empty((0, 0)), seeds, note=reason)
    calm = ~block.diverged.any(axis=0)
    peers = [other.complete[:, calm] for other in others if _poolable(block, other)]
    pooled = seeds < pool_below and bool(peers) and calm.sum() >= 2 and _varies(values[:, calm])
    squares = _paired_variances(values)
    if pooled:
        scale = residual_mean_square(values[:, calm])
        shapes = [table / residual_mean_square(peer) for peer in peers for table in [_paired_variances(peer)]]
        shapes.append(squares[numpy.ix_(calm, calm)] / scale)
        squares[numpy.ix_(calm, calm)] = scale * numpy.mean(shapes, axis=0)
        shares = [arm_variances(table) / residual_mean_square(table) for table in [values[:, calm], *peers]]
        spread = _rounded_spread(numpy.mean(shares, axis=0))
    errors = numpy.sqrt(squares / seeds)
    same = (values[:, :, None] == values[:, None, :]).all(axis=0)
    if not ((errors > 0.0) | same).all():
        return PairedErrors(numpy.empty((0, 0)), seeds, note="some differences do not vary between seeds")
    if not pooled:
        return PairedErrors(errors, seeds)
    own = None if calm.all() else numpy.logical_not(numpy.outer(calm, calm))
    return PairedErrors(errors, seeds, tuple(sorted(len(peer) for peer in peers)), own=own, spread=spread, draws=draws)


def arm_variances(values: Floats) -> Floats:
    """Variance of each arm's noise [arms] from `values` [seeds, arms] with seed effects taken out (Grubbs 1948).

    Unbiased, so single ones may be negative; below three arms they cannot be told apart.
    """
    arms = values.shape[1]
    squares = (values - values.mean(axis=1, keepdims=True)).var(axis=0, ddof=1)
    if arms < 3:
        return numpy.full(arms, squares.sum() / (arms - 1))
    return numpy.asarray((squares - squares.sum() / (arms * (arms - 1))) * arms / (arms - 2))


def _rounded_spread(shares: Floats) -> tuple[float, ...]:
    """Relative sd of arms from relative variances, rounded on the log2 scale."""
    sd = numpy.sqrt(numpy.maximum(shares, SMALLEST_SHARE))
    return tuple((2.0 ** (numpy.round(numpy.log2(sd) / SPREAD_STEP) * SPREAD_STEP)).tolist())


def refusal(block: Block) -> str:
    """Why nothing can be said about differences between the arms of `block`; empty if something can."""
    seeds, arms = block.complete.shape
    missing = f" ({block.missing} runs missing)" if block.missing else ""
    if arms < 2:
        return ONE_WARMUP
    if block.hopeless:
        return "every run diverged"
    if seeds == 0:
        return f"no seed has every warmup{missing}"
    if seeds == 1:
        return f"one seed has no spread{missing}"
    if not _varies(block.complete):
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


def _poolable(block: Block, other: Block) -> bool:
    """Same arms, something to say, no diverged run, and spread in the arms of `block` without one."""
    return (
        other is not block
        and other.arms == block.arms
        and not refusal(other)
        and not other.diverged.any()
        and _varies(other.complete[:, ~block.diverged.any(axis=0)])
    )


@lru_cache(maxsize=64)
def null_distribution(seeds: int, peers: tuple[int, ...], spread: tuple[float, ...], draws: int = DRAWS) -> Null:
    """The pooled statistic when no arm differs: normal outcomes, any scale of the cells, arms spread by `spread`."""
    generator = numpy.random.default_rng(20_260_717)
    arms = numpy.array(spread)
    pairs = all_pairs(len(arms)).T  # [arms, m]
    true = numpy.sqrt(((arms[:, None] * pairs) ** 2).sum(axis=0) / seeds)
    batch = max(1, 2_000_000 // ((seeds + sum(peers)) * pairs.shape[1]))
    single, normal, ratio = [], [], []
    for start in range(0, draws, batch):
        count = min(batch, draws - start)
        own = generator.standard_normal((count, seeds, len(arms))) * arms
        scale, shape = _scale_and_shape(own, pairs)
        for size in peers:
            shape = shape + _scale_and_shape(generator.standard_normal((count, size, len(arms))) * arms, pairs)[1]
        error = numpy.sqrt(scale[:, None] * shape / (1 + len(peers)) / seeds)
        mean = own.mean(axis=1) @ pairs
        single.append((numpy.abs(mean) / error).astype(numpy.float32))
        normal.append((mean / true).astype(numpy.float32))
        ratio.append((error / true).astype(numpy.float32))
    together = numpy.concatenate(single)
    return Null(
        numpy.sort(together.T, axis=1), together.max(axis=1), numpy.concatenate(normal).T, numpy.concatenate(ratio).T
    )


def _scale_and_shape(values: Floats, pairs: Floats) -> tuple[Any, Any]:
    """Residual mean squares [draws] of `values` [draws, seeds, arms], paired variances over them [draws, m]."""
    _, seeds, arms = values.shape
    centred = values - values.mean(axis=1, keepdims=True)
    variances = ((centred @ pairs) ** 2).sum(axis=1) / (seeds - 1)
    left = centred - centred.mean(axis=2, keepdims=True)
    scale = (left**2).sum(axis=(1, 2)) / ((seeds - 1) * (arms - 1))
    return scale, variances / scale[:, None]
