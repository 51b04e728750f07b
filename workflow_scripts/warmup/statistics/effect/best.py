"""Comparisons with the best: how much worse than the best arm can each arm be, and which may be the best?

In: a Block's means and paired errors, a margin, a confidence. Out: `Regrets`, `Judgement`. Everything here is a pure
function of these, so that a look at a growing study can be replayed.

Regret R(i) = mean(i) - smallest mean over the arms (the population's best arm, not each seed's); d(i, j) = difference
of the means found.
  - Upper limits (Hsu 1981; Edwards & Hsu 1983). Let b be the best arm. With the chance asked for, mean(j) - mean(b) is
    at most d(j, b) + reach_b(j) for every j (one-sided Dunnett limits with b as control). Then b is among the *possible
    best*, G = {j : d(j, l) <= reach_j(l) for every l}, and R(i) <= max over j in G of d(i, j) + reach_j(i), for all i.
  - Lower limit of one arm i declared beforehand: R(i) >= d(i, j) - reach_i(j) for every j, with i as control.
  - Lower limits of all arms together need all pairs: R(i) >= d(i, j) - reach(i, j).
  - An arm with diverged runs at few seeds: lower limits times the lower limit of its divergence rate.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from warmup.statistics.base.blocks import Block
from warmup.statistics.base.intervals import CANNOT_SAY, Floats
from warmup.statistics.base.nulls import PRIOR_FREEDOM
from warmup.statistics.base.pairing import FEW_SEEDS, PairedErrors

EXCLUDED, WITHIN, UNDECIDED = "excluded", "within", "undecided"

OPTIMISM = 0.65
"""Standard errors by which a projection moves what was found to the side that is easier to decide. An estimate that
happens to lie on the margin would need seeds without end."""

FARTHEST = 200
"""Seeds beyond which nothing is projected."""


@dataclass(frozen=True)
class Regrets:
    """Regret of each arm with limits, all [arms]; `possible_best` marks the arms that may be the best.

    `high` holds for all arms together, so does `low`; `low_alone` for one arm that was declared beforehand.
    """

    estimate: Floats
    low: Floats
    high: Floats
    low_alone: Floats
    possible_best: NDArray[np.bool_]


@dataclass(frozen=True)
class Judgement:
    """What a block says of its arms at a margin.

    `not_excluded`, `demonstrated` [arms]: regret may be, is shown to be, at most the margin. `recommended`: the arm
    with the smallest upper limit of regret, `recommended_high`: that limit. `reference`: excluded | within | undecided,
    or cannot say where the reference was not run; `p_reference`: p that its regret is at most the margin. `flat`: every
    arm is demonstrated.
    """

    regrets: Regrets
    not_excluded: NDArray[np.bool_]
    demonstrated: NDArray[np.bool_]
    recommended: Any
    recommended_high: float
    reference: str
    p_reference: float | None
    flat: bool


def compare(means: Floats, errors: PairedErrors, confidence: float) -> Regrets:
    """Regrets of arms with `means` [arms] and their `errors` (known), each kind of limit at `confidence`."""
    return regrets(means, errors.simultaneous_reach(confidence), errors.reach_from(confidence, sides=1))


def least_divergence(block: Block, confidence: float) -> Floats:
    """What an arm's excess over others is multiplied with before lower limits are told [arms]: 1 without divergence.

    Where runs diverged, few seeds do not say how often such runs do: two of two may be one in four. Below FEW_SEEDS the
    excess counts at the exact lower limit of that rate (Clopper & Pearson), as if the arm's other runs were as good as
    the best arm.
    """
    diverged = block.diverged[np.isfinite(block.values).all(axis=1)]
    seeds, counts = len(diverged), diverged.sum(axis=0)
    if seeds >= FEW_SEEDS or not counts.any():
        return np.ones(len(counts))
    lowest = special.betaincinv(np.maximum(counts, 1), seeds - counts + 1, 1.0 - confidence)
    return np.where(counts > 0, lowest, 1.0)


def regrets(means: Floats, reach: Floats, reach_from: Floats) -> Regrets:
    """Regrets from half widths [arms, arms]: `reach` for all pairs, row i of `reach_from` for arm i as control."""
    difference = means[:, None] - means[None, :]
    possible: NDArray[np.bool_] = np.all(difference <= reach_from, axis=1)
    rivals = possible[None, :] & ~np.eye(len(means), dtype=bool)
    low = np.maximum((difference - reach).max(axis=1), 0.0)
    high = np.where(rivals, difference + reach_from.T, 0.0).max(axis=1)
    low_alone = np.maximum((difference - reach_from).max(axis=1), 0.0)
    return Regrets(means - means.min(), low, np.maximum(high, 0.0), low_alone, possible)


def judge(block: Block, errors: PairedErrors, margin: float, confidence: float, reference: Any = 0.0) -> Judgement:
    """What `block` says at `margin` (the outcome's unit); `errors` are its own and known, else ValueError."""
    if not errors.known:
        raise ValueError(f"nothing can be judged: {errors.note}")
    means = block.complete.mean(axis=0)
    found = compare(means, errors, confidence)
    rate = least_divergence(block, confidence)
    found = replace(found, low=rate * found.low, low_alone=rate * found.low_alone)
    demonstrated = found.high <= margin
    best = int(np.argmin(found.high))
    verdict, p = CANNOT_SAY, None
    if reference in block.arms:
        arm = block.arms.index(reference)
        p = errors.p_above(arm, means[arm] - means - margin / rate[arm])
        excluded = bool(found.low_alone[arm] > margin)
        verdict = EXCLUDED if excluded else WITHIN if demonstrated[arm] else UNDECIDED
    return Judgement(
        regrets=found,
        not_excluded=found.low <= margin,
        demonstrated=demonstrated,
        recommended=block.arms[best],
        recommended_high=float(found.high[best]),
        reference=verdict,
        p_reference=p,
        flat=bool(demonstrated.all()),
    )


def seeds_to_next_verdict(
    means: Floats,
    errors: PairedErrors,
    margin: float,
    confidence: float,
    *,
    demonstrated: bool,
    reference: int | None,
    later: Sequence[tuple[int, float]] = (),
) -> float:
    """Seeds after which the cell would have its next verdict if the `means` [arms] were true; infinite beyond
    FARTHEST.

    The next verdict: the arm `reference` is judged, or where it need not be (None), some arm is demonstrated (has it
    been already?). `later`: (seeds, confidence) of looks to come, in rising order; the last one's confidence holds
    beyond it. Half widths fall as the root of the seeds and as Student's t, with the degrees of freedom that the errors
    have.
    """
    n, prior = errors.seeds, PRIOR_FREEDOM if errors.peers else 0.0
    difference, reach = means[:, None] - means[None, :], errors.reach_from(confidence, sides=1)
    possible = np.all(difference <= reach, axis=1)
    rivals = possible[None, :] & ~np.eye(len(means), dtype=bool)
    seeds = np.arange(n, max(n, FARTHEST) + 1)
    spent = np.full(len(seeds), 1.0 - confidence)
    for number, other in later:
        spent[seeds >= number] = 1.0 - other
    points = special.stdtrit(seeds - 1.0 + prior, 1.0 - spent / max(1, len(means) - 1))
    half = reach * (np.sqrt(n / seeds) * points / points[0] - OPTIMISM / points[0])[:, None, None]
    high = np.where(rivals, difference + half.transpose(0, 2, 1), 0.0).max(axis=2)
    if reference is not None:
        there = ((difference - half)[:, reference].max(axis=1) > margin) | (high[:, reference] <= margin)
    else:
        there = (high <= margin).any(axis=1) | demonstrated
    return float(seeds[there.argmax()]) if there.any() else math.inf
