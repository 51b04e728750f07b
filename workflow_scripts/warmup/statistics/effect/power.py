"""What gap between two warmups this design can detect: before running, from a pilot; after, from the runs themselves.

Before: the sd of a difference between two arms of a seed is sd sqrt(2 (1 - correlation)), from a pilot's sd over seeds
and correlation between arms (or from the tables of an earlier study). After: the paired errors that were found.
"""

from collections.abc import Mapping
from typing import Any

import numpy
import polars

from warmup.statistics.base.intervals import CANNOT_SAY, Floats
from warmup.statistics.base.outcomes import CELL, SCHEMA, Cell, cells
from warmup.statistics.base.pairing import PairedErrors, study_errors
from warmup.statistics.effect.comparisons import CORRECTED_OVER
from warmup.statistics.effect.plateau import margin

MOST_SEEDS = 200
"""Where the search for enough seeds ends."""


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


def seeds_for(gap: float, paired_sd: float, confidence: float, power: float) -> int | None:
    """Fewest seeds whose own paired t detects `gap` with chance `power`; None above MOST_SEEDS."""
    for seeds in range(2, MOST_SEEDS + 1):
        design = PairedErrors(numpy.zeros((2, 2)), seeds)
        if design.power(gap, paired_sd / seeds**0.5, confidence) >= power:
            return seeds
    return None


def power_table(runs: polars.DataFrame, settings: Mapping[str, Any]) -> polars.DataFrame:
    """Rows (POWER) for each declared family and cell: `when` = "before" (pilot) and "after" (the runs).

    The gap is that of a comparison tested at the family's Bonferroni level; `seeds_for_margin`: seeds at which the
    practical margin itself would be detectable.
    """
    everything = cells(runs, settings["outcome"])
    found = study_errors(everything, settings["pool_below"])
    rows = []
    for family, entry in settings["comparisons"].items():
        for cell, errors in zip(everything, found, strict=True):
            size = _family_size(cell, everything, entry)
            head = cell.key | {"family": family, "family_size": size, "n": errors.seeds}
            head |= {"power": settings["power"]["target"]}
            pilot = settings["power"]["pilots"].get(cell.task)
            rows.append(head | {"when": "before"} | _before(cell, errors, pilot, size, settings))
            rows.append(head | {"when": "after"} | _after(cell, errors, entry["reference"], size, settings))
    return polars.DataFrame(rows, schema=POWER)


def _family_size(cell: Cell, everything: list[Cell], entry: Mapping[str, Any]) -> int:
    """Members of the family that `cell` belongs to, counted as `comparisons` counts them."""
    shared = CORRECTED_OVER[entry["corrected_over"]]
    family = [other for other in everything if all(getattr(other, name) == getattr(cell, name) for name in shared)]
    reference = entry["reference"]
    return sum(len([w for w in (entry["warmups"] or other.warmups.tolist()) if w != reference]) for other in family)


def _before(
    cell: Cell, errors: PairedErrors, pilot: Mapping[str, Any] | None, size: int, settings: Mapping[str, Any]
) -> dict[str, Any]:
    if pilot is None:
        return _cannot(f"statistics.power.pilots has no entry for the task {cell.task}")
    planned = PairedErrors(numpy.zeros((len(cell.warmups),) * 2), len(cell.block.seeds), _planned_peers(cell, errors))
    paired_sd = float(pilot["sd"]) * (2.0 * (1.0 - float(pilot["correlation"]))) ** 0.5
    return _gap(cell, planned, paired_sd, size, settings)


def _planned_peers(cell: Cell, errors: PairedErrors) -> tuple[int, ...]:
    return tuple(len(cell.block.seeds) for _ in errors.peers)


def _after(
    cell: Cell, errors: PairedErrors, reference: float, size: int, settings: Mapping[str, Any]
) -> dict[str, Any]:
    if not errors.known:
        return _cannot(errors.note)
    column = numpy.flatnonzero(cell.warmups == reference)
    if len(column) == 0:
        return _cannot(f"the reference warmup {reference:g} was not run")
    others: Floats = errors.errors[column[0]][errors.errors[column[0]] > 0.0]
    if len(others) == 0:
        return _cannot("no difference from the reference varies between seeds")
    paired_sd = float(numpy.median(others)) * errors.seeds**0.5
    return _gap(cell, errors, paired_sd, size, settings)


def _gap(cell: Cell, errors: PairedErrors, paired_sd: float, size: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    if errors.seeds < 2:
        return _cannot("one seed has no spread")
    confidence, target = 1.0 - (1.0 - settings["confidence"]) / max(1, size), settings["power"]["target"]
    gap = detectable_gap(errors, paired_sd / errors.seeds**0.5, confidence, target)
    complete = cell.block.complete
    delta = margin(settings, cell.task, float(complete.mean(axis=0).min())) if len(complete) else None
    return {
        "paired_sd": paired_sd,
        "detectable_gap": gap,
        "margin": delta,
        "seeds_for_margin": None if not delta else seeds_for(delta, paired_sd, confidence, target),
        "method": errors.method if errors.seeds else "",
        "verdict": "ok",
        "note": "" if delta is None or gap <= delta else "a difference as large as the margin can be missed",
    }


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
    "seeds_for_margin": polars.Int64(),
    "method": polars.String(),
    "verdict": polars.String(),
    "note": polars.String(),
}
"""Columns of the power table; gaps, sd and margins in the outcome's unit."""
