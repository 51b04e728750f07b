"""Do intervals cover, do tests keep their size, is the promised power reached? Counted on studies with known truth.

In: a synthetic design and how many studies. Out: rows (CHECKS), one per statistic and design, with the share that was
found, its Monte-Carlo error, and whether it passes: coverage at least nominal - 2 %, size at most nominal, both within
two Monte-Carlo errors. Used by benchmarks/coverage.py (the table of docs/statistics.md) and by the slow tests.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy
import polars

from known_truth.simulation import Design, blocks, draw, runs
from warmup.statistics.base import intervals
from warmup.statistics.base.outcomes import Cell, with_outcome
from warmup.statistics.base.pairing import PairedErrors, study_errors
from warmup.statistics.effect import best, comparisons, mixed_model, optimum, power

TOLERANCE = 0.02
"""Coverage may fall this far short of nominal (issue: at least nominal - 2 %)."""

DRAWS = 4000
"""Null studies behind each pooled critical value here: every simulated study needs its own."""

SETTINGS: dict[str, Any] = {
    "outcome": "best_validation_loss",
    "confidence": 0.95,
    "reference": 0.0,
    "margins": {"default": {"absolute": 0.02}},
    "equivalence_margins": None,
    "bootstrap": {"resamples": 500, "seed": 1},
    "log_offset": 0.005,
    "comparisons": {"against_none": {"reference": 0.0, "warmups": None, "corrected_over": "study"}},
    "mixed_model": {"spline_freedom": 3},
    "power": {"target": 0.8, "pilots": {}},
}


@dataclass(frozen=True)
class Check:
    """One row: `share` of `count` trials; `kind`: coverage | size | power."""

    statistic: str
    design: str
    kind: str
    nominal: float
    share: float
    count: int

    @property
    def error(self) -> float:
        """Monte-Carlo standard error of `share`, at its nominal value."""
        return (self.nominal * (1.0 - self.nominal) / self.count) ** 0.5

    @property
    def passes(self) -> bool:
        """Whether the share is what was promised, within two Monte-Carlo errors."""
        if self.kind == "coverage":
            return self.share >= self.nominal - TOLERANCE - 2.0 * self.error
        if self.kind == "size":
            return self.share <= self.nominal + 2.0 * self.error
        return abs(self.share - self.nominal) <= TOLERANCE + 2.0 * self.error

    def row(self) -> dict[str, Any]:
        """As a table row."""
        return {
            **{name: getattr(self, name) for name in ("statistic", "design", "kind", "nominal", "share", "count")},
            "error": self.error,
            "passes": self.passes,
        }


def table(checks: list[Check]) -> polars.DataFrame:
    """Checks as a table."""
    return polars.DataFrame([check.row() for check in checks])


def cell_studies(design: Design, studies: int, seed: int) -> Iterator[list[Cell]]:
    """The cells of independent studies."""
    drawn = draw(design, numpy.random.default_rng(seed), studies)
    for study in range(studies):
        yield [
            Cell(f"a{index // design.tasks:02d}", f"t{index % design.tasks}", "adamw", "study", design.steps, block)
            for index, block in enumerate(blocks(design, drawn, study))
        ]


def interval_coverage(
    name: str, make: Callable[[Any], intervals.Interval], sample: Callable[[numpy.random.Generator], Any], truth: float,
    design: str, studies: int, nominal: float = 0.95,
) -> Check:  # fmt: skip
    """Coverage of an interval of a plain sample."""
    generator = numpy.random.default_rng(11)
    hits = 0
    for _ in range(studies):
        found = make(sample(generator))
        hits += found.low is not None and found.high is not None and found.low <= truth <= found.high
    return Check(name, design, "coverage", nominal, hits / studies, studies)


def cell_checks(design: Design, name: str, studies: int, valley: float | None = None, which: int = 0) -> list[Check]:
    """Everything said about cell `which` of a study, on the same studies.

    Regret limits hold together; nothing outside the margin is demonstrated; without any effect of warmup the plateau is
    the whole grid. The difference of the second warmup from the first is covered, and called equivalent no more often
    than promised where it is the margin itself. The cross-fitted interval covers the mean true advantage of the warmups
    that were chosen. Where the truth has one valley, lowest at `valley`, so does the interval of the optimum.
    """
    planted, truth = design.regrets[which], design.truth[which]
    difference = float(planted[1] - planted[0])
    level, delta = float(SETTINGS["confidence"]), float(SETTINGS["margins"]["default"]["absolute"])
    counts: dict[tuple[str, str], list[bool]] = {}

    def count(statistic: str, kind: str, hit: Any) -> None:
        counts.setdefault((statistic, kind), []).append(bool(hit))

    for cells in cell_studies(design, studies, seed=21):
        cell = cells[which]
        errors = study_errors(cells, DRAWS)[which]
        means = cell.block.complete.mean(axis=0)
        found = best.compare(means, errors, level)
        held = (found.low <= truth + 1e-12) & (truth <= found.high + 1e-12)
        count("regret limits, all warmups together", "coverage", held.all())
        count("plateau demonstrated falsely", "size", ((found.high <= delta) & (truth > delta)).any())
        if not truth.any():
            count("whole grid not excluded", "coverage", (found.low <= delta).all())
        away = float(means[1] - means[0]) - difference
        count("paired difference", "coverage", abs(away) <= errors.reach(level)[1, 0])
        p = comparisons.equivalence_p(away + delta, delta, errors, 1, 0)
        count("equivalence test at the margin", "size", p <= 1.0 - level)
        gain, chosen = _advantage(cell.block.complete, errors)
        if gain.low is not None and gain.high is not None:
            count("cross-fitted advantage", "coverage", gain.low <= (planted[0] - planted[chosen]).mean() <= gain.high)
        if valley is not None:
            low, high = optimum.single_valley(cell.warmups, found.possible_best)
            count("optimum of a curve with one valley", "coverage", low <= valley <= high)
    return [
        Check(statistic, name, kind, level if kind == "coverage" else 1.0 - level, float(numpy.mean(hits)), len(hits))
        for (statistic, kind), hits in counts.items()
    ]


def _advantage(values: Any, errors: PairedErrors) -> tuple[intervals.Interval, Any]:
    """Cross-fitted advantage over the first warmup, and what the halves chose."""
    chosen, held_out = optimum.choices(values, 1)
    return optimum.advantage(values, chosen, held_out, 0, errors, SETTINGS["confidence"]), chosen


def family_check(design: Design, name: str, studies: int) -> Check:
    """Share of null studies in which any comparison of the family is called better or worse (Holm)."""
    settings = {**SETTINGS, "bootstrap": {"resamples": 200, "seed": 1}}
    wrong = 0
    for seed in range(studies):
        found = comparisons.comparisons(runs(design, seed), settings)["verdict"]
        wrong += found.is_in(["better", "worse"]).any()
    return Check("family of comparisons (Holm)", name, "size", 0.05, wrong / studies, studies)


def mixed_model_checks(design: Design, name: str, studies: int, grouping: str = "world") -> list[Check]:
    """The mixed model in null studies: size of its two tests, coverage of the first architecture's first effect."""
    wrong: dict[str, list[bool]] = {}
    covered = []
    for seed in range(studies):
        part = with_outcome(runs(design, seed))
        found = mixed_model.fit(part, grouping, SETTINGS)
        for row in mixed_model.tests(part, found, SETTINGS):
            wrong.setdefault(row["term"], []).append(row["p"] <= 0.05)
        effect = mixed_model.effects(part, found, SETTINGS)[0]
        covered.append(effect["low"] <= 0.0 <= effect["high"])
    name = f"{name}, 1 | {grouping}"
    tests = [
        Check(f"mixed model: {term}", name, "size", 0.05, float(numpy.mean(hits)), len(hits))
        for term, hits in wrong.items()
    ]
    return [*tests, Check("mixed model: effect", name, "coverage", 0.95, float(numpy.mean(covered)), len(covered))]


def power_check(design: Design, name: str, studies: int) -> Check:
    """Share of studies that find a planted gap as large as `detectable_gap` promises to find with the target's "
    "chance."""
    level = 1.0 - 0.05 / 12.0
    sd = design.sd * (2.0 * (1.0 - design.icc)) ** 0.5
    example = next(cell_studies(design, 1, seed=25))
    planned = replace(study_errors(example, DRAWS)[0], spread=())  # before any run
    gap = power.detectable_gap(planned, sd / design.seeds**0.5, level, SETTINGS["power"]["target"])
    found = 0
    for cells in cell_studies(design, studies, seed=26):
        errors = study_errors(cells, DRAWS)[0]
        means = cells[0].block.complete.mean(axis=0)
        found += abs(float(means[1] - means[0]) + gap) > errors.reach(level)[1, 0]
    return Check("power at the detectable gap", name, "power", SETTINGS["power"]["target"], found / studies, studies)
