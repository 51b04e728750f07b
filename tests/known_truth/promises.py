"""What the statistics promise, counted on studies with known truth: how often a statement is false, or made at all.

In: a design, a margin, how many studies. Out: `Tally`s. Each study goes through the functions that the rules call
(`paired_errors`, `best.judge`, `optimum.advantage`, ...). A promise counts as kept where the upper 95 % limit of its
false rate is at most 0.06. Used by benchmarks/simulations.py (docs/simulations.md) and by the slow tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from known_truth.simulation import Design, blocks, draw, runs
from warmup.statistics.base.blocks import Block
from warmup.statistics.base.intervals import Floats, holm
from warmup.statistics.base.outcomes import with_outcome
from warmup.statistics.base.pairing import FEW_SEEDS, PairedErrors, paired_errors
from warmup.statistics.effect import best, mixed_model, optimum
from warmup.statistics.effect.comparisons import equivalence_p
from warmup.statistics.effect.power import detectable_gap, seeds_to_exclude

LEVEL = 0.95
ALLOWED = 0.06
"""The upper limit of a false rate at which the promise of 0.05 counts as kept."""
DRAWS = 20_000
"""Null studies behind each critical value here: most simulated studies need their own."""
TOLERANCE = 1e-9
UNSEEN = "runs diverge but none was seen"
"""Studies of few seeds that could not know: what they say holds for runs that do not diverge, and is counted apart."""


@dataclass(frozen=True)
class Tally:
    """`share` of `count` studies in which something happened (kind "false" or "found"), or a mean (kind "mean")."""

    what: str
    kind: str
    share: float
    count: int
    error: float

    @property
    def upper(self) -> float:
        """One-sided upper 95 % limit of the share (Clopper & Pearson)."""
        hits = round(self.share * self.count)
        return 1.0 if hits == self.count else float(special.betaincinv(hits + 1, self.count - hits, LEVEL))

    @property
    def kept(self) -> bool:
        """Whether a false rate of 0.05 was promised and kept."""
        return self.kind != "false" or self.upper <= ALLOWED


class Counter:
    """Collects what happened, study by study; nothing is recorded where the question does not arise."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], list[float]] = {}
        self.unseen = False

    def add(self, kind: str, what: str, value: Any) -> None:
        """One study's answer (bool or number) to `what`; apart, and no promise, where `unseen` is set."""
        key = ("found", f"{what}, {UNSEEN}") if self.unseen else (kind, what)
        self.values.setdefault(key, []).append(float(value))

    def tallies(self) -> dict[str, Tally]:
        """One per question."""
        return {
            what: Tally(what, kind, float(np.mean(each)), len(each), float(np.std(each)) / len(each) ** 0.5)
            for (kind, what), each in self.values.items()
        }


def of_a_cell(design: Design, margin: float, studies: int, seed: int, valley: float | None = None) -> dict[str, Tally]:
    """Everything said of a study's first cell (all cells are of one task); `valley`: where its one optimum lies."""
    counter, truth = Counter(), design.truth[0]
    drawn = draw(design, np.random.default_rng(seed), studies)
    for study in range(studies):
        everything = blocks(design, drawn, study)
        errors = paired_errors(everything[0], everything, DRAWS)
        if not errors.known:
            counter.add("found", "nothing could be said", True)
            continue
        block = everything[0]
        few = design.seeds < FEW_SEEDS
        counter.unseen = few and design.divergence > 0.0 and not block.diverged.any()
        found = best.judge(block, errors, margin, LEVEL)
        _judgement(counter, found, truth, margin)
        means = block.complete.mean(axis=0)
        away = means[1] - means[0] - (truth[1] - truth[0])
        if not (few and block.diverged[:, :2].any()):  # else comparisons cannot say
            counter.add("false", "one difference outside its limits", abs(away) > errors.reach(LEVEL)[1, 0])
            p = equivalence_p(away + margin, margin, errors, 1, 0)
            counter.add("false", "two warmups one margin apart called equivalent", p <= 1.0 - LEVEL)
        _advantage(counter, block, truth, errors)
        if valley is not None:
            low, high = optimum.single_valley(np.array(block.arms), found.regrets.possible_best)
            counter.add("false", "optimum outside its limits", not low - TOLERANCE <= valley <= high + TOLERANCE)
            whole = found.regrets.possible_best[0] and found.regrets.possible_best[-1]
            counter.add("found", "optimum narrowed down", not whole)
    return counter.tallies()


def _judgement(counter: Counter, found: best.Judgement, truth: Floats, margin: float) -> None:
    good, regrets = truth <= margin + TOLERANCE, found.regrets
    counter.add("false", "limits of all pairs: a regret below its lower limit", (regrets.low > truth + TOLERANCE).any())
    counter.add("false", "a regret above its upper limit", (regrets.high < truth - TOLERANCE).any())
    if (truth >= margin - TOLERANCE).any():
        counter.add(
            "false",
            "demonstrated an arm a margin or more worse",
            (found.demonstrated & (truth >= margin - TOLERANCE)).any(),
        )
    counter.add("false", "excluded an arm within the margin", (good & ~found.not_excluded).any())
    if good[0]:
        counter.add("false", "excluded no warmup within the margin", found.reference == best.EXCLUDED)
    else:
        counter.add("found", "no warmup excluded", found.reference == best.EXCLUDED)
    if truth[0] >= margin - TOLERANCE:
        counter.add("false", "called no warmup within the margin", found.reference == best.WITHIN)
    picked = int(np.argmin(regrets.high))
    counter.add(
        "false", "recommended one that costs more than its limit", truth[picked] > found.recommended_high + TOLERANCE
    )
    counter.add("found", "some warmup demonstrated", found.demonstrated.any())
    counter.add("mean", "upper limit of the recommended (margins)", found.recommended_high / margin)
    counter.add("mean", "mean upper limit (margins)", regrets.high.mean() / margin)


def _advantage(counter: Counter, block: Block, truth: Floats, errors: PairedErrors) -> None:
    chosen, held_out = optimum.choices(block.complete, 1)
    found = optimum.advantage(block, chosen, held_out, 0, errors, LEVEL)
    counter.add("found", "an advantage is given", found.known)
    if not found.known:
        return
    target = float((truth[0] - truth[chosen]).mean())
    outside = not found.low - TOLERANCE <= target <= found.high + TOLERANCE  # type: ignore[operator]
    counter.add("false", "advantage outside its limits", outside)
    if not (chosen == 0).all():
        counter.add("false", "advantage outside its limits, another than the reference chosen", outside)
    if (chosen == chosen[0]).all() and chosen[0] != 0:
        counter.add("found", "advantage outside its limits, all halves agreed", outside)


def of_a_study(design: Design, margin: float, studies: int, seed: int) -> dict[str, Tally]:
    """What is said of all cells together: a false exclusion, a false advantage, anywhere in the study."""
    counter, truth = Counter(), design.truth
    drawn = draw(design, np.random.default_rng(seed), studies)
    for study in range(studies):
        everything = blocks(design, drawn, study)
        p_values, excluded, beats, family = [], [], [], []
        for cell, block in enumerate(everything):
            errors = paired_errors(block, everything[cell % design.tasks :: design.tasks], DRAWS)
            found = best.judge(block, errors, margin, LEVEL)
            good = truth[cell, 0] <= margin + TOLERANCE
            excluded.append(good and found.reference == best.EXCLUDED)
            p_values.append(found.p_reference)
            values = block.complete
            means = values.mean(axis=0)
            if not truth.any():
                away = [errors.statistic(float(means[arm] - means[0]), arm, 0) for arm in range(1, len(means))]
                family += [errors.p_value(each, arm, 0) for arm, each in enumerate(away, start=1)]
            chosen, held_out = optimum.choices(values, 1)
            level = 1.0 - (1.0 - LEVEL) / design.cells
            gain = optimum.advantage(block, chosen, held_out, 0, errors, level)
            beats.append(gain.low is not None and gain.low > max(0.0, truth[cell, 0]))
        corrected = [p is not None and p <= 1.0 - LEVEL for p in holm(p_values)]
        wrong = [each and truth[cell, 0] <= margin + TOLERANCE for cell, each in enumerate(corrected)]
        counter.add("found", "no warmup falsely excluded in some cell, each at its own level", any(excluded))
        counter.add("false", "no warmup falsely excluded in some cell, corrected over cells", any(wrong))
        counter.add("false", "a false advantage in some cell", any(beats))
        if family:
            small = [p is not None and p <= 1.0 - LEVEL for p in holm(family)]
            counter.add("false", "a false difference in the study's family of comparisons (Holm)", any(small))
    return counter.tallies()


def of_the_width(seeds: int, studies: int) -> Tally:
    """Mean upper limit of regret over seven equal arms, four cells, in sd of one arm."""
    design = Design(seeds=seeds, sd=2.0**0.5, level=20.0)
    drawn = draw(design, np.random.default_rng(3000), studies)
    widths = []
    for study in range(studies):
        everything = blocks(design, drawn, study)
        errors = paired_errors(everything[0], everything, DRAWS)
        widths.append(float(best.compare(everything[0].complete.mean(axis=0), errors, LEVEL).high.mean()))
    return Tally("", "mean", float(np.mean(widths)), studies, float(np.std(widths)) / studies**0.5)


def of_the_seeds_named(warmups: Sequence[float], apart: float, studies: int) -> tuple[int, Tally]:
    """No warmup costs two margins: how often it is excluded at the seeds named for that; `apart`: sd of one arm."""
    arms = len(warmups)
    planned = PairedErrors(np.ones((arms, arms)), 3, (3, 3, 3))
    seeds = seeds_to_exclude(1.0, apart * 2.0**0.5, planned, 0, LEVEL, 0.8)
    if seeds is None:
        raise ValueError(f"no number of seeds suffices at noise {apart:g}")
    regret = np.full(arms, 0.0)
    regret[0] = 2.0
    design = Design(seeds=seeds, warmups=warmups, regret=regret, sd=apart * 2.0**0.5, level=20.0)
    counter, drawn = Counter(), draw(design, np.random.default_rng(4000), studies)
    for study in range(studies):
        everything = blocks(design, drawn, study)
        found = best.judge(everything[0], paired_errors(everything[0], everything, DRAWS), 1.0, LEVEL)
        counter.add("found", "no warmup excluded at the seeds named", found.reference == best.EXCLUDED)
    return seeds, counter.tallies()["no warmup excluded at the seeds named"]


MIXED_QUESTIONS = (
    "mixed model: warmup has an effect in some architecture and task",
    "mixed model: the effect of warmup differs between architectures, on average over tasks",
    "mixed model: the effect of warmup differs between tasks, on average over architectures",
)


def of_the_mixed_model(design: Design, studies: int) -> dict[str, Tally]:
    """How often each of its questions is answered with p <= 0.05; "false" where nothing is planted."""
    kind = "found" if design.regrets.any() else "false"
    settings = {
        **{"outcome": "best_validation_loss", "confidence": LEVEL, "reference": 0.0, "log_offset": 0.005},
        "bootstrap": {"resamples": 400, "seed": 1},
        "mixed_model": {"spline_freedom": 3},
    }
    counter = Counter()
    for seed in range(studies):
        part = with_outcome(runs(design, seed))
        for row in mixed_model.tests(part, mixed_model.fit(part, "world", settings), settings):
            counter.add(kind, f"mixed model: {row['term']}", row["p"] <= 1.0 - LEVEL)
    return counter.tallies()


def of_the_gap(design: Design, studies: int) -> Tally:
    """How often a planted gap is found that `detectable_gap` promises to find with chance 0.8 (family of twelve)."""
    level, sd = 1.0 - (1.0 - LEVEL) / 12.0, design.sd * (2.0 * (1.0 - design.icc)) ** 0.5
    planned = PairedErrors(np.ones((len(design.warmups),) * 2), design.seeds, (design.seeds,) * (design.cells - 1))
    gap = detectable_gap(planned, sd / design.seeds**0.5, level, 0.8)
    counter, drawn = Counter(), draw(design, np.random.default_rng(5000), studies)
    for study in range(studies):
        everything = blocks(design, drawn, study)
        means = everything[0].complete.mean(axis=0)
        errors = paired_errors(everything[0], everything, DRAWS)
        counter.add("found", "gap", abs(float(means[1] - means[0]) + gap) > errors.reach(level)[1, 0])
    return counter.tallies()["gap"]
