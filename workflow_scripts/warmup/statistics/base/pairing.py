"""Errors of differences between arms of a block, paired by seed: the base of plateaus, comparisons and power.

The paired variance of a difference is written as scale x shape. A block keeps its own *scale*, the mean square s² of
its seed x arm residuals. Its *shape*, how the paired variance of each pair of arms compares with s², is shrunk towards
the mean shape of the blocks beside it (the cells of a task): s² (4 pooled + (n - 1) own) / (n + 3) at n seeds, so that
two seeds rest on what the cells share, and many on the cell itself, without a step between. Alone, a block has its own
paired variances and Student's t.

Plain pooling of the variances fails: where one of four architectures is three times as noisy, its simultaneous coverage
falls to about 0.5 (docs/statistics.md). Arms may differ in spread, too (no warmup is often the noisiest), so the
reference distribution is simulated with the arms' estimated spreads.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from warmup.statistics.base.blocks import Block
from warmup.statistics.base.intervals import Floats, t_p_value, t_quantile
from warmup.statistics.base.nulls import (
    DRAWS,
    Null,
    covariances,
    null_distribution,
    paired_variances,
    pairs_of,
    point,
    shrunk,
    simulate,
    tail,
)  # fmt: skip
from warmup.statistics.base.outcomes import Cell

ONE_WARMUP = "one warmup only"
"""Why a cell that was never swept has no answer."""
SPREAD_STEP = 0.5
"""Arms' relative spreads enter the simulation rounded to this step of log2, so that its results can be shared."""
FEW_SEEDS = 5
"""Below this many seeds an arm's spread is so little known that one far noisier than the others is kept apart."""
WILD = 2.0**2.5
"""So many times the others' spread is far noisier; in 7 % of studies of two seeds, equally noisy arms seem so."""
FITTING_STEPS = 30
"""Of the fit of the arms' variances."""
SMALLEST_SHARE = 0.05
"""Floor of an arm's variance relative to the mean over arms (estimates may be negative)."""


@dataclass(frozen=True)
class PairedErrors:
    """Standard errors of mean differences between the arms of one block, with their reference distributions.

    `errors` [arms, arms]: standard error of mean(i) - mean(j), zero on the diagonal and between arms whose outcomes are
    the same number in every seed (recipes that never differ, runs that diverge at once); empty if `note` says why.
    `seeds`: complete seeds of the block; `peers`: those of each block that lent its shape (none: Student's t).
    `separate` [arms, arms]: pairs that rest on their own paired variance although others are pooled (an arm with a
    diverged run has a spread of another kind, and with few seeds a far noisier one is not known well enough).
    `spread`: relative spreads of the other arms, as they enter the simulation. `draws`: simulated null studies behind
    critical values and p.
    """

    errors: Floats
    seeds: int
    peers: tuple[int, ...] = ()
    note: str = ""
    separate: NDArray[np.bool_] | None = None
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
        return f"paired, shape shrunk over {1 + len(self.peers)} cells" if self.peers else "paired t"

    def reach(self, confidence: float) -> Floats:
        """Half widths [arms, arms] of the limits of each difference on its own."""
        own = t_quantile(0.5 + confidence / 2.0, self.seeds - 1)
        if not self.peers:
            return own * self.errors
        pooled = np.zeros(self.errors.shape)
        for value, (i, j) in zip(point(self._null().single, confidence), self._pooled_pairs(), strict=True):
            pooled[i, j] = pooled[j, i] = value
        return np.where(self._apart(), own, pooled) * self.errors

    def simultaneous_reach(self, confidence: float) -> Floats:
        """Half widths [arms, arms] of limits that hold for all pairs of arms together (max-t).

        Where pooled pairs stand beside separate ones, each kind takes half of the error rate.
        """
        separate = self._apart()
        count = int(separate.sum()) // 2
        level = 0.5 + confidence / 2.0 if count else confidence
        pooled = point(self._null().largest, level)
        return np.where(separate, self._bonferroni(level, 2 * count), pooled) * self.errors

    def reach_from(self, confidence: float, sides: int) -> Floats:
        """Half widths [arms, arms]: those of row i hold for mean(i) less every other mean together (Dunnett's).

        `sides` 1: as lower limits of mean(i) - mean(j), or as upper limits of mean(j) - mean(i); 2: both at once.
        """
        separate, null, slots = self._apart(), self._null(), self._slots()
        critical = np.zeros(self.errors.shape)
        for arm, apart in enumerate(separate):
            count, calm = int(apart.sum()), arm in slots and len(slots) > 1
            level = 0.5 + confidence / 2.0 if count and calm else confidence
            critical[arm, apart] = self._bonferroni(level, sides * count)
            if calm:
                critical[arm, ~apart] = point((null.above if sides == 1 else null.apart)[slots[arm]], level)
        return critical * self.errors

    def statistic(self, distance: float, first: int = 0, second: int = 1) -> float:
        """`distance` over the standard error of mean(first) - mean(second); beyond every number where that is zero."""
        error = float(self.errors[first, second])
        if error > 0.0:
            return distance / error
        return 0.0 if distance == 0.0 else math.copysign(math.inf, distance)

    def p_value(self, statistic: float, first: int = 0, second: int = 1) -> float:
        """Two-sided p of mean(first) - mean(second) (plus any constant) over its standard error."""
        if not self.peers or self._apart()[first, second]:
            return t_p_value(statistic, self.seeds - 1)
        pair = self._pooled_pairs().index((min(first, second), max(first, second)))
        return tail(self._null().single[pair], abs(statistic))

    def p_above(self, arm: int, distances: Floats) -> float:
        """One-sided p of the largest of `distances` [arms] of mean(arm) from the others, each over its error."""
        others = [other for other in range(len(distances)) if other != arm]
        t = np.array([self.statistic(float(distances[other]), arm, other) for other in others])
        apart, found = self._apart()[arm][others], []
        if apart.any():
            found.append(min(1.0, int(apart.sum()) * float(special.stdtr(self.seeds - 1, -t[apart].max()))))
        if not apart.all():
            found.append(tail(self._null().above[self._slots()[arm]], float(t[~apart].max())))
        return min(1.0, len(found) * min(found))

    def power(self, gap: float, error: float, confidence: float) -> float:
        """Chance of finding, at `confidence` and with its sign, a difference that truly is `gap` > 0.

        `error` is its true standard error. Noncentral t, or its simulated counterpart where cells are pooled.
        """
        shift = gap / error
        if not self.peers:
            return _noncentral(self.seeds - 1, shift, t_quantile(0.5 + confidence / 2.0, self.seeds - 1))
        normal, ratio = self._simulated()
        return float((normal + shift > point(self._null().single, confidence)[:, None] * ratio).mean())

    def power_from(self, arm: int, gap: float, error: float, confidence: float) -> float:
        """Chance that the lower limit (against all arms) of mean(arm) - mean(best) falls short by less than `gap`.

        `error` is the true standard error of that difference. The best arm alone may show it.
        """
        shift, slot = gap / error, self._slots()[arm]
        critical = point(self._null().above[slot], confidence)
        if not self.peers:
            return _noncentral(self.seeds - 1, shift, float(critical))
        normal, ratio = (
            np.stack([row for row, pair in zip(each, pairs_of(len(self._slots())), strict=True) if slot in pair])
            for each in self._simulated()
        )
        return float((normal + shift > critical * ratio).mean())

    def error_limits(self, confidence: float) -> tuple[float, float]:
        """Factors on an estimated error between which the true one lies with `confidence`."""
        ends = 0.5 - confidence / 2.0, 0.5 + confidence / 2.0
        if not self.peers:
            low, high = (float(special.chdtri(self.seeds - 1, end)) for end in ends)  # upper tails
            return ((self.seeds - 1) / low) ** 0.5, ((self.seeds - 1) / high) ** 0.5
        low, high = np.quantile(self._simulated()[1], ends)
        return 1.0 / float(high), 1.0 / float(low)

    def _apart(self) -> NDArray[np.bool_]:
        return np.zeros(self.errors.shape, dtype=np.bool_) if self.separate is None else self.separate

    def _calm(self) -> list[int]:
        """Arms that are not separate, in the order of the arms."""
        return [arm for arm, apart in enumerate(self._apart()) if (~apart).sum() > 1]

    def _order(self) -> list[int]:
        """Places among the calm arms, by spread: the simulation's order, so that arms in another order share it."""
        spread = self.spread or (1.0,) * len(self._calm())
        return sorted(range(len(spread)), key=lambda place: spread[place])

    def _slots(self) -> dict[int, int]:
        """Calm arm -> its row in the simulation."""
        calm = self._calm()
        return {calm[place]: slot for slot, place in enumerate(self._order())}

    def _pooled_pairs(self) -> list[tuple[int, int]]:
        """Pairs of calm arms in the simulation's order."""
        arm = {slot: arm for arm, slot in self._slots().items()}
        return [(min(arm[i], arm[j]), max(arm[i], arm[j])) for i, j in pairs_of(len(arm))]

    def _bonferroni(self, confidence: float, comparisons: int) -> float:
        return t_quantile(1.0 - (1.0 - confidence) / max(1, comparisons), self.seeds - 1)

    def _null(self) -> Null:
        return null_distribution(*self._design())

    def _simulated(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return simulate(*self._design())

    def _design(self) -> tuple[int, tuple[int, ...], tuple[float, ...], int]:
        return self.seeds, self.peers, tuple(sorted(self.spread or (1.0,) * len(self._calm()))), self.draws


def _noncentral(freedom: int, shift: float, critical: float) -> float:
    """Chance that a noncentral t exceeds `critical`."""
    chance = 1.0 - float(special.nctdtr(freedom, shift, critical))
    if not 0.0 <= chance <= 1.0:
        raise ArithmeticError(f"the noncentral t distribution failed at df {freedom}, shift {shift:g}")
    return chance


def study_errors(cells: Sequence[Cell], draws: int = DRAWS) -> list[PairedErrors]:
    """Errors of every cell of a study; the cells of a task lend each other their shape."""
    return [
        paired_errors(cell.block, [other.block for other in cells if other.task == cell.task], draws) for cell in cells
    ]


def paired_errors(block: Block, others: Sequence[Block], draws: int = DRAWS) -> PairedErrors:
    """Errors of `block`, their shape shrunk towards that of `others` (itself aside) that have its arms.

    Arms with a diverged run are kept out of the pooling, and below FEW_SEEDS those far noisier than the others: their
    differences rest on their own paired variance.
    """
    values = block.complete
    seeds = len(values)
    reason = refusal(block)
    if reason:
        return PairedErrors(np.empty((0, 0)), seeds, note=reason)
    calm: NDArray[np.bool_] = np.logical_not(block.diverged.any(axis=0))
    lenders = [other.complete for other in others if _poolable(block, other)]
    if lenders and seeds < FEW_SEEDS:
        calm[calm] = ~_wild(relative_variances([each[:, calm] for each in (values, *lenders)]))
    peers = [each[:, calm] for each in lenders]
    pooled = bool(peers) and calm.sum() >= 2 and _varies(values[:, calm])
    squares = _own_variances(values)
    spread: tuple[float, ...] = ()
    if pooled:
        tables = [values[:, calm], *peers]
        scales = [residual_mean_square(table) for table in tables]
        shapes = np.stack([_own_variances(table) / scale for table, scale in zip(tables, scales, strict=True)])
        squares[np.ix_(calm, calm)] = scales[0] * shrunk(shapes[0], shapes, seeds)
        spread = _rounded_spread(relative_variances(tables))
    same = (values[:, :, None] == values[:, None, :]).all(axis=0)
    errors = np.where(same, 0.0, np.sqrt(squares / seeds))
    if not ((errors > 0.0) | same).all():
        return PairedErrors(np.empty((0, 0)), seeds, note="some differences do not vary between seeds")
    if not pooled:
        return PairedErrors(errors, seeds, draws=draws)
    separate = None if calm.all() else np.logical_not(np.outer(calm, calm))
    if separate is not None:
        np.fill_diagonal(separate, False)
    counts = tuple(sorted(len(peer) for peer in peers))
    return PairedErrors(errors, seeds, counts, separate=separate, spread=spread, draws=draws)


def arm_variances(values: Floats) -> Floats:
    """Variance of each arm's noise [arms] from `values` [seeds, arms] with seed effects taken out (Grubbs 1948).

    Unbiased, so single ones may be negative; below three arms they cannot be told apart.
    """
    arms = values.shape[1]
    squares = (values - values.mean(axis=1, keepdims=True)).var(axis=0, ddof=1)
    if arms < 3:
        return np.full(arms, squares.sum() / (arms - 1))
    return np.asarray((squares - squares.sum() / (arms * (arms - 1))) * arms / (arms - 2))


def relative_variances(tables: Sequence[Floats]) -> Floats:
    """Variance of each arm's noise [arms], 1 on average, from all `tables` [seeds, arms] with two arms or more.

    Fitted to the mean paired variances as variance(i) + variance(j), each weighed by its own size (gamma likelihood),
    so that a noisy arm does not blur what is known of the calm ones. A table counts relative to the geometric mean of
    its paired variances, which one noisy arm does not rule as it does their mean.
    """
    first, second = np.array(pairs_of(tables[0].shape[1])).T
    relative = []
    for table in tables:
        squares = _own_variances(table)[first, second]
        squares = np.maximum(squares, SMALLEST_SHARE**2 * squares.max())
        relative.append(squares / np.exp(np.log(squares).mean()))
    found = np.mean(relative, axis=0)
    member = np.zeros((tables[0].shape[1], len(found)))
    member[first, range(len(found))] = member[second, range(len(found))] = 1.0
    variances = np.full(len(member), found.mean() / 2.0)
    for _ in range(FITTING_STEPS):
        fitted = variances @ member
        variances = variances * (member @ (found / fitted**2)) / (member @ (1.0 / fitted))
    return np.asarray(variances / variances.mean())


def _wild(variances: Floats) -> NDArray[np.bool_]:
    """Arms [arms] whose sd is at least WILD times the median of the others'."""
    if len(variances) < 3:
        return np.zeros(len(variances), dtype=np.bool_)
    steps = np.log2(_rounded_spread(variances))
    others = [np.median(np.delete(steps, arm)) for arm in range(len(steps))]
    return np.asarray(steps - others >= np.log2(WILD) - 0.5 * SPREAD_STEP)


def _rounded_spread(shares: Floats) -> tuple[float, ...]:
    """Relative sd of arms from relative variances, rounded on the log2 scale; the smallest is 1."""
    steps = np.round(np.log2(np.sqrt(np.maximum(shares, SMALLEST_SHARE))) / SPREAD_STEP)
    return tuple((2.0 ** ((steps - steps.min()) * SPREAD_STEP)).tolist())


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


def _own_variances(values: Floats) -> Floats:
    """Variance over seeds of the difference of each pair of arms [arms, arms]; what arithmetic alone leaves is 0."""
    variances = paired_variances(covariances(values))
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
