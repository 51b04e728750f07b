"""What gap between two warmups this design can detect: before running, from a pilot; after, from the runs themselves.

Before: the sd of a difference between two arms of a seed is sd sqrt(2 (1 - correlation)), from a pilot's sd over seeds
and correlation between arms (or from the tables of an earlier study). After: the paired errors that were found.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars

from warmup.statistics.base.intervals import CANNOT_SAY
from warmup.statistics.base.outcomes import CELL, SCHEMA, Cell, cells
from warmup.statistics.base.pairing import PairedErrors, study_errors
from warmup.statistics.effect.comparisons import CORRECTED_OVER
from warmup.statistics.effect.plateau import margin

MOST_SEEDS = 200
"""Where the search for enough seeds ends."""
SEARCH_DRAWS = 8_000
"""Simulated null studies behind each step of that search."""


def detectable_gap(errors: PairedErrors, error: float, confidence: float, power: float) -> float:
    """Smallest true difference found with chance `power` by a two-sided paired test at `confidence`, by bisection.

    `error` is the true standard error of the mean difference. The unit of the result is that of `error`.
    """
    low, high = 0.0, error
    while errors.power(high, error, confidence) < power:
        low, high = high, 2.0 * high
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if errors.power(middle, error, confidence) < power else (low, middle)
    return high


def seeds_to_exclude(
    gap: float, paired_sd: float, design: PairedErrors, arm: int, confidence: float, power: float
) -> int | None:
    """Fewest seeds at which arm `arm`, truly `gap` beyond what is asked, is excluded with chance `power`.

    Its regret must be `gap` more than the margin; `paired_sd` is that of its difference from the best, over seeds.
    `design` gives the arms and blocks beside it, each then with as many seeds. None above MOST_SEEDS.
    """

    def enough(seeds: int) -> bool:
        planned = replace(design, seeds=seeds, peers=(seeds,) * len(design.peers), draws=SEARCH_DRAWS)
        return planned.power_from(arm, gap, paired_sd / seeds**0.5, confidence) >= power

    if not enough(MOST_SEEDS):
        return None
    low, high = 1, MOST_SEEDS  # too few, enough
    while high - low > 1:
        middle = round((low * high) ** 0.5) if high > 2 * low else (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def power_table(runs: polars.DataFrame, settings: Mapping[str, Any]) -> polars.DataFrame:
    """Rows (POWER) for each declared family and cell: `when` = "before" (pilot) and "after" (the runs).

    The gap is that of a comparison tested at the family's Bonferroni level. A true regret of one margin is the boundary
    of what may be excluded and is, rightly, hardly ever; so `seeds_for_two_margins` are the seeds at which a reference
    that costs two margins is shown to cost more than one, in one cell, with limits from the uncertainty of the sd.
    """
    everything = cells(runs, settings["outcome"])
    found = study_errors(everything)
    rows = []
    for family, entry in settings["comparisons"].items():
        for cell, errors in zip(everything, found, strict=True):
            size = _family_size(cell, everything, entry)
            head = cell.key | {"family": family, "family_size": size, "n": errors.seeds}
            head |= {"power": settings["power"]["target"]}
            pilot = settings["power"]["pilots"].get(cell.task)
            rows.append(head | {"when": "before"} | _before(cell, errors, pilot, entry["reference"], size, settings))
            rows.append(head | {"when": "after"} | _after(cell, errors, entry["reference"], size, settings))
    return polars.DataFrame(rows, schema=POWER)


def _family_size(cell: Cell, everything: list[Cell], entry: Mapping[str, Any]) -> int:
    """Members of the family that `cell` belongs to, counted as `comparisons` counts them."""
    shared = CORRECTED_OVER[entry["corrected_over"]]
    family = [other for other in everything if all(getattr(other, name) == getattr(cell, name) for name in shared)]
    reference = entry["reference"]
    return sum(len([w for w in (entry["warmups"] or other.warmups.tolist()) if w != reference]) for other in family)


def _before(
    cell: Cell,
    errors: PairedErrors,
    pilot: Mapping[str, Any] | None,
    reference: float,
    size: int,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    if pilot is None:
        return _cannot(f"statistics.power.pilots has no entry for the task {cell.task}")
    seeds = len(cell.block.seeds)
    if seeds < 2:
        return _cannot("one seed has no spread")
    planned = PairedErrors(np.zeros((len(cell.warmups),) * 2), seeds, (seeds,) * len(errors.peers))
    paired_sd = float(pilot["sd"]) * (2.0 * (1.0 - float(pilot["correlation"]))) ** 0.5
    return _gap(cell, planned, paired_sd, (1.0, 1.0), reference, size, settings)


def _after(
    cell: Cell, errors: PairedErrors, reference: float, size: int, settings: Mapping[str, Any]
) -> dict[str, Any]:
    if not errors.known:
        return _cannot(errors.note)
    if reference not in cell.block.arms:
        return _cannot(f"the reference warmup {reference:g} was not run")
    others = errors.errors[cell.block.arms.index(reference)]
    if not (others > 0.0).any():
        return _cannot("no difference from the reference varies between seeds")
    paired_sd = float(np.median(others[others > 0.0])) * errors.seeds**0.5
    return _gap(cell, errors, paired_sd, errors.error_limits(settings["confidence"]), reference, size, settings)


def _gap(
    cell: Cell,
    errors: PairedErrors,
    paired_sd: float,
    uncertain: tuple[float, float],
    reference: float,
    size: int,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Gap and seeds of one cell; `uncertain`: factors on `paired_sd` between which the true one lies."""
    family, target = 1.0 - (1.0 - settings["confidence"]) / max(1, size), settings["power"]["target"]
    gap = detectable_gap(errors, paired_sd / errors.seeds**0.5, family, target)
    complete = cell.block.complete
    delta = margin(settings, cell.task, float(complete.mean(axis=0).min())) if len(complete) else None
    row = {
        "paired_sd": paired_sd,
        "detectable_gap": gap,
        "margin": delta,
        "method": errors.method,
        "verdict": "ok",
        "note": "" if delta is None or gap <= delta else "a difference as large as the margin can be missed",
    }
    if not delta or reference not in cell.block.arms:
        return row
    design = replace(errors, separate=None, spread=() if errors.separate is not None else errors.spread)
    arm = cell.block.arms.index(reference)
    for name, factor in (("", 1.0), ("_low", uncertain[0]), ("_high", uncertain[1])):
        needed = seeds_to_exclude(delta, factor * paired_sd, design, arm, settings["confidence"], target)
        row[f"seeds_for_two_margins{name}"] = needed
    return row


def _cannot(reason: str) -> dict[str, Any]:
    return {"verdict": CANNOT_SAY, "note": f"{CANNOT_SAY}: {reason}"}


POWER: dict[str, polars.DataType] = {
    "when": polars.String(),
    "family": polars.String(),
    **{name: SCHEMA[name] for name in CELL},
    "family_size": polars.Int64(),
    "n": polars.Int64(),
    "power": polars.Float64(),
    "paired_sd": polars.Float64(),
    "detectable_gap": polars.Float64(),
    "margin": polars.Float64(),
    **{f"seeds_for_two_margins{end}": polars.Int64() for end in ("", "_low", "_high")},
    "method": polars.String(),
    "verdict": polars.String(),
    "note": polars.String(),
}
"""Columns of the power table; gaps, sd and margins in the outcome's unit; more than 200 seeds are null."""
