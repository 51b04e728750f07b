"""Optimal warmup of each cell: argmin of the mean outcome, the smooth optimum beside it, and what choosing it gained.

The argmin alone is mostly noise (SCIENCE.md, section 2): read it with the plateau set. Its advantage over a reference
is cross-fitted, chosen on half of the seeds and measured on the other half, because the winner's own lead flatters it.
"""

from collections.abc import Mapping
from itertools import combinations
from math import comb
from typing import Any

import numpy
import polars

from warmup.statistics.base.intervals import CANNOT_SAY, Floats, Interval, unknown
from warmup.statistics.base.outcomes import CELL, LOSSES, SCHEMA, Cell, cells
from warmup.statistics.base.pairing import PairedErrors, study_errors
from warmup.statistics.effect.smooth import SmoothOptimum, smooth_optimum

MOST_SPLITS = 400
"""Halvings of the seeds tried; up to ten seeds this is all of them."""


def argmin(means: Floats) -> int:
    """Index of the smallest mean; among equal ones the first, which is the smallest warmup."""
    return int(numpy.argmin(means))


def optima(runs: polars.DataFrame, settings: Mapping[str, Any]) -> polars.DataFrame:
    """One row per cell (OPTIMA): optimum, smooth optimum with interval and censoring, and the same in the metric."""
    everything = cells(runs, settings["outcome"])
    metrics = {_key(cell): cell for cell in cells(runs, "best_metric")}
    others = {name: {_key(cell): cell for cell in cells(runs, name)} for name in LOSSES}
    named = {row[:3]: row[3] for row in runs.select([*CELL, "metric"]).unique().iter_rows()}
    rows = []
    for cell, errors in zip(everything, study_errors(everything, settings["pool_below"]), strict=True):
        row = cell.key | {"role": cell.role, "n": errors.seeds, "warmups": len(cell.warmups)}
        row |= {"missing": cell.block.missing, "diverged": int(cell.block.diverged.sum())}
        row |= {"metric": named[_key(cell)]}
        row |= {f"optimum_by_{name}": _simple_optimum(table[_key(cell)]) for name, table in others.items()}
        if errors.known:
            row |= _optimum(cell, settings) | _metric(cell, metrics[_key(cell)], settings["reference"])
        else:
            row |= {"verdict": CANNOT_SAY, "note": f"{CANNOT_SAY}: {errors.note}"}
        rows.append(row | _smooth(smooth_optimum(cell, errors, settings), cell.steps))
    return polars.DataFrame(rows, schema=OPTIMA)


def _key(cell: Cell) -> tuple[str, str, str]:
    return cell.architecture, cell.task, cell.recipe


def _optimum(cell: Cell, settings: Mapping[str, Any]) -> dict[str, Any]:
    means = cell.block.complete.mean(axis=0)
    best = argmin(means)
    at = float(cell.warmups[best])
    ends = ["at the smallest warmup"] if best == 0 else ["at the largest warmup"] if best == len(means) - 1 else []
    tied = int((means == means[best]).sum())
    notes = ends + ([f"tied with {tied - 1} larger warmups"] if tied > 1 else [])
    reference = numpy.flatnonzero(cell.warmups == settings["reference"])
    return {
        "optimum": at,
        "optimum_steps": int(at * cell.steps + 0.5),
        "tied": tied,
        "outcome": float(means[best]),
        "gap_to_next": float(numpy.partition(means, 1)[1] - means[best]),
        "outcome_at_reference": float(means[reference[0]]) if len(reference) else None,
        "verdict": "ok",
        "note": "; ".join(notes),
    }


def _simple_optimum(cell: Cell) -> float | None:
    complete = cell.block.complete
    return None if len(complete) < 2 or cell.block.hopeless else float(cell.warmups[argmin(complete.mean(axis=0))])


def _metric(cell: Cell, metric: Cell, reference: float) -> dict[str, Any]:
    """The task's own metric (mean over the runs that have it) at the optimum and at the reference warmup."""
    best = float(cell.warmups[argmin(cell.block.complete.mean(axis=0))])
    found: dict[str, Any] = {}
    for name, warmup in (("metric_at_optimum", best), ("metric_at_reference", reference)):
        values = metric.block.values[:, metric.warmups == warmup].ravel()
        values = values[numpy.isfinite(values)]
        found[name] = float(values.mean()) if len(values) else None
    return found


def _smooth(found: SmoothOptimum, steps: int) -> dict[str, Any]:
    at = found.interval.estimate
    return found.interval.columns("smooth_optimum") | {
        "smooth_optimum_steps": None if at is None else int(at * steps + 0.5),
        "censoring": found.censoring or None,
        "interval_reaches_smallest": found.reaches_left,
        "interval_reaches_largest": found.reaches_right,
        "smooth_note": found.interval.note,
    }


def crossfit(runs: polars.DataFrame, settings: Mapping[str, Any]) -> polars.DataFrame:
    """One row per cell (CROSSFIT): mean outcome at the reference warmup less that at the chosen one (a gain: > 0)."""
    everything = cells(runs, settings["outcome"])
    rows = []
    for cell, errors in zip(everything, study_errors(everything, settings["pool_below"]), strict=True):
        found, agreement = _crossfit(cell, errors, settings)
        rows.append(
            cell.key
            | {"role": cell.role, "reference": settings["reference"], "n": errors.seeds}
            | found.columns("advantage")
            | {"agreement": agreement, "naive_advantage": _naive(cell, errors, settings["reference"])}
            | {"verdict": found.verdict, "note": found.note}
        )
    return polars.DataFrame(rows, schema=CROSSFIT)


def _naive(cell: Cell, errors: PairedErrors, reference: float) -> float | None:
    column = numpy.flatnonzero(cell.warmups == reference)
    if not errors.known or len(column) == 0:
        return None
    means = cell.block.complete.mean(axis=0)
    return float(means[column[0]] - means.min())


def _crossfit(cell: Cell, errors: PairedErrors, settings: Mapping[str, Any]) -> tuple[Interval, float | None]:
    confidence, reference = settings["confidence"], settings["reference"]
    column = numpy.flatnonzero(cell.warmups == reference)
    if not errors.known:
        return unknown(errors.note, n=errors.seeds, confidence=confidence), None
    if len(column) == 0:
        reason = f"the reference warmup {reference:g} was not run"
        return unknown(reason, n=errors.seeds, confidence=confidence), None
    values = cell.block.complete
    chosen, held_out = choices(values, settings["bootstrap"]["seed"])
    gains = values[:, column[0], None] - values[:, chosen]  # [seeds, splits]
    weights = held_out / held_out.sum(axis=1, keepdims=True)
    per_seed = (gains * weights).sum(axis=1)
    agreement = float((chosen == argmin(values.mean(axis=0))).mean())
    return advantage_interval(per_seed, chosen, int(column[0]), errors, confidence), agreement


def choices(values: Floats, seed: int) -> tuple[Any, Any]:
    """For each halving of the seeds: the arm chosen on one half [splits], and who is held out [seeds, splits]."""
    seeds = len(values)
    sizes = sorted({seeds // 2, seeds - seeds // 2})
    if sum(comb(seeds, size) for size in sizes) <= MOST_SPLITS:
        halves = [half for size in sizes for half in combinations(range(seeds), size)]
    else:
        generator = numpy.random.default_rng(seed)
        halves = [tuple(generator.permutation(seeds)[: sizes[i % len(sizes)]]) for i in range(MOST_SPLITS)]
    selecting = numpy.zeros((len(halves), seeds))
    for row, half in enumerate(halves):
        selecting[row, list(half)] = 1.0
    chosen = (selecting @ values).argmin(axis=1)
    return chosen, 1.0 - selecting.T


def advantage_interval(
    per_seed: Floats, chosen: Any, reference: int, errors: PairedErrors, confidence: float
) -> Interval:
    """Interval of the mean true advantage of the chosen arms, from the advantage per held-out seed [seeds].

    Its error is the mean paired error of the arms chosen, over the halves that chose another than the reference: the
    spread of `per_seed` itself is too small, since all halves share the same seeds (simulated coverage at ten seeds
    0.88 to 0.94, against 0.97 of this form).
    """
    n = len(per_seed)
    others = chosen[chosen != reference]
    if len(others) == 0:
        return unknown("every half of the seeds chose the reference itself", n=n, confidence=confidence, estimate=0.0)
    estimate = float(per_seed.mean())
    half = float(errors.reach(confidence)[reference, others].mean())
    return Interval(estimate, estimate - half, estimate + half, n, confidence)


OPTIMA: dict[str, polars.DataType] = {
    **{name: SCHEMA[name] for name in (*CELL, "role")},
    "n": polars.Int64(),
    "warmups": polars.Int64(),
    "missing": polars.Int64(),
    "diverged": polars.Int64(),
    "optimum": polars.Float64(),
    "optimum_steps": polars.Int64(),
    "tied": polars.Int64(),
    "outcome": polars.Float64(),
    "gap_to_next": polars.Float64(),
    "outcome_at_reference": polars.Float64(),
    "smooth_optimum": polars.Float64(),
    "smooth_optimum_low": polars.Float64(),
    "smooth_optimum_high": polars.Float64(),
    "smooth_optimum_steps": polars.Int64(),
    "censoring": polars.String(),
    "interval_reaches_smallest": polars.Boolean(),
    "interval_reaches_largest": polars.Boolean(),
    "smooth_note": polars.String(),
    **{f"optimum_by_{name}": polars.Float64() for name in LOSSES},
    "metric": polars.String(),
    "metric_at_optimum": polars.Float64(),
    "metric_at_reference": polars.Float64(),
    "verdict": polars.String(),
    "note": polars.String(),
}
"""Columns of the optima table; warmups as fractions of training."""

CROSSFIT: dict[str, polars.DataType] = {
    **{name: SCHEMA[name] for name in (*CELL, "role")},
    "reference": polars.Float64(),
    "n": polars.Int64(),
    "advantage": polars.Float64(),
    "advantage_low": polars.Float64(),
    "advantage_high": polars.Float64(),
    "agreement": polars.Float64(),
    "naive_advantage": polars.Float64(),
    "verdict": polars.String(),
    "note": polars.String(),
}
"""Columns of the crossfit table, in the outcome's unit; `agreement`: share of halves that chose the overall optimum."""
