"""Optimal warmup of each cell: argmin of the mean outcome, where the optimum may lie, and what choosing it gained.

The argmin alone is mostly noise: read it with the plateau set. Where the optimum may lie is said for any curve with a
single valley. What choosing gained is estimated by cross-fitting, chosen on half of the seeds and measured on the other
half, because the winner's own lead flatters it; its limits allow for the choice.
"""

from collections.abc import Mapping
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import polars
from numpy.typing import NDArray

from warmup.statistics.base.blocks import Block
from warmup.statistics.base.intervals import CANNOT_SAY, Floats, Interval, unknown
from warmup.statistics.base.outcomes import CELL, LOSSES, SCHEMA, Cell, cells
from warmup.statistics.base.pairing import FEW_SEEDS, PairedErrors, study_errors
from warmup.statistics.effect.best import compare

AGREED = (
    "all halves of these few seeds chose the same warmup, which chance often does: that its lead is the winner's own "
    "cannot be told apart from a gain"
)
OTHER_KIND = "a warmup it concerns diverged or is far noisier than the others, of which so few seeds say too little"
MOST_SPLITS = 400
"""Halvings of the seeds tried; up to ten seeds this is all of them."""


def argmin(means: Floats) -> int:
    """Index of the smallest mean; among equal ones the first, which is the smallest warmup."""
    return int(np.argmin(means))


def optima(runs: polars.DataFrame, settings: Mapping[str, Any]) -> polars.DataFrame:
    """One row per cell (OPTIMA): optimum, where it may lie, and the same in the metric."""
    everything = cells(runs, settings["outcome"])
    metrics = {_key(cell): cell for cell in cells(runs, "best_metric")}
    others = {name: {_key(cell): cell for cell in cells(runs, name)} for name in LOSSES}
    named = {row[:3]: row[3] for row in runs.select([*CELL, "metric"]).unique().iter_rows()}
    rows = []
    for cell, errors in zip(everything, study_errors(everything), strict=True):
        row = cell.key | {"role": cell.role, "n": errors.seeds, "warmups": len(cell.warmups)}
        row |= {"missing": cell.block.missing, "diverged": int(cell.block.diverged.sum())}
        row |= {"metric": named[_key(cell)]}
        row |= {f"optimum_by_{name}": _simple_optimum(table[_key(cell)]) for name, table in others.items()}
        if errors.known:
            row |= _optimum(cell, settings) | _valley(cell, errors, settings["confidence"])
            row |= _metric(cell, metrics[_key(cell)], settings["reference"])
        else:
            row |= {"verdict": CANNOT_SAY, "note": f"{CANNOT_SAY}: {errors.note}"}
        rows.append(row)
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
    reference = np.flatnonzero(cell.warmups == settings["reference"])
    return {
        "optimum": at,
        "optimum_steps": int(at * cell.steps + 0.5),
        "tied": tied,
        "outcome": float(means[best]),
        "gap_to_next": float(np.partition(means, 1)[1] - means[best]),
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
        values = values[np.isfinite(values)]
        found[name] = float(values.mean()) if len(values) else None
    return found


def _valley(cell: Cell, errors: PairedErrors, confidence: float) -> dict[str, Any]:
    possible = compare(cell.block.complete.mean(axis=0), errors, confidence).possible_best
    low, high = single_valley(cell.warmups, possible)
    return {
        "optimum_low": low,
        "optimum_high": high,
        "interval_reaches_smallest": bool(possible[0]),
        "interval_reaches_largest": bool(possible[-1]),
    }


def single_valley(warmups: Floats, possible_best: NDArray[np.bool_]) -> tuple[float, float]:
    """Ends, as fractions of training, between which the optimum of a curve with one valley lies.

    `warmups` [arms] ascending; `possible_best` [arms]: those among which the best arm is. Of such a curve the best arm
    is one of the optimum's two neighbours, so the optimum lies between the neighbours of the arms that may be the best;
    beyond the grid's ends nothing was tried, and it may lie as far as 0 or 1.
    """
    inside = np.flatnonzero(possible_best)
    ends = np.concatenate([[0.0], warmups, [1.0]])
    return float(ends[inside[0]]), float(ends[inside[-1] + 2])


def crossfit(runs: polars.DataFrame, settings: Mapping[str, Any]) -> polars.DataFrame:
    """One row per cell (CROSSFIT): mean outcome at the reference warmup less that at the chosen one (a gain: > 0)."""
    everything = cells(runs, settings["outcome"])
    errors = study_errors(everything)
    asked = sum(
        each.known and settings["reference"] in cell.block.arms for cell, each in zip(everything, errors, strict=True)
    )
    confidence = 1.0 - (1.0 - settings["confidence"]) / max(1, asked)
    rows = []
    for cell, each in zip(everything, errors, strict=True):
        found, agreement = _crossfit(cell, each, settings, confidence)
        rows.append(
            cell.key
            | {"role": cell.role, "reference": settings["reference"], "n": each.seeds, "cells": asked}
            | found.columns("advantage")
            | {"agreement": agreement, "naive_advantage": _naive(cell, each, settings["reference"])}
            | {"verdict": found.verdict, "note": found.note}
        )
    return polars.DataFrame(rows, schema=CROSSFIT)


def _naive(cell: Cell, errors: PairedErrors, reference: float) -> float | None:
    column = np.flatnonzero(cell.warmups == reference)
    if not errors.known or len(column) == 0:
        return None
    means = cell.block.complete.mean(axis=0)
    return float(means[column[0]] - means.min())


def _crossfit(
    cell: Cell, errors: PairedErrors, settings: Mapping[str, Any], confidence: float
) -> tuple[Interval, float | None]:
    reference = settings["reference"]
    if not errors.known:
        return unknown(errors.note, n=errors.seeds, confidence=confidence), None
    if reference not in cell.block.arms:
        reason = f"the reference warmup {reference:g} was not run"
        return unknown(reason, n=errors.seeds, confidence=confidence), None
    values, column = cell.block.complete, cell.block.arms.index(reference)
    chosen, held_out = choices(values, settings["bootstrap"]["seed"])
    agreement = float((chosen == argmin(values.mean(axis=0))).mean())
    return advantage(cell.block, chosen, held_out, column, errors, confidence), agreement


def choices(values: Floats, seed: int) -> tuple[Any, Any]:
    """For each halving of the seeds: the arm chosen on one half [splits], and who is held out [seeds, splits]."""
    seeds = len(values)
    sizes = sorted({seeds // 2, seeds - seeds // 2})
    if sum(comb(seeds, size) for size in sizes) <= MOST_SPLITS:
        halves = [half for size in sizes for half in combinations(range(seeds), size)]
    else:
        generator = np.random.default_rng(seed)
        halves = [tuple(generator.permutation(seeds)[: sizes[i % len(sizes)]]) for i in range(MOST_SPLITS)]
    selecting = np.zeros((len(halves), seeds))
    for row, half in enumerate(halves):
        selecting[row, list(half)] = 1.0
    chosen = (selecting @ values).argmin(axis=1)
    return chosen, 1.0 - selecting.T


def withheld(block: Block, chosen: Any, reference: int, errors: PairedErrors) -> str:
    """Why few seeds tell no advantage of the arms `chosen` [splits] over `reference`; empty where they do."""
    if len(block.complete) >= FEW_SEEDS:
        return ""
    if (chosen == chosen[0]).all():
        return AGREED
    apart = errors.separate is not None and bool(errors.separate[reference, chosen].any())
    return OTHER_KIND if apart or block.diverged[:, [reference, *chosen]].any() else ""


def advantage(
    block: Block, chosen: Any, held_out: Any, reference: int, errors: PairedErrors, confidence: float
) -> Interval:
    """Mean true advantage over the reference of the arms that the halves chose, with limits.

    `chosen` [splits], `held_out` [seeds, splits] as `choices` gives them. The estimate is
    measured on the seeds held out. The limits are the mean over the halves of the limits of the chosen arms'
    differences on all seeds; since those hold for all arms together, they hold however the arms were chosen, over all
    studies. Among those studies in which all halves agree they miss more often: where the arms are alike, in 0.17 at
    three seeds (docs/simulations.md). So there no interval is given below FEW_SEEDS seeds; nor is there one where a
    warmup it concerns has a spread of another kind.
    """
    values = block.complete
    if (chosen == reference).all():
        note = "every half of the seeds chose the reference itself"
        return Interval(0.0, 0.0, 0.0, len(values), confidence, note)
    if reason := withheld(block, chosen, reference, errors):
        return unknown(reason, n=len(values), confidence=confidence)
    weights = held_out / held_out.sum(axis=1, keepdims=True)
    estimate = float(((values[:, reference, None] - values[:, chosen]) * weights).sum(axis=1).mean())
    means = values.mean(axis=0)
    centre = float((means[reference] - means[chosen]).mean())
    half = float(errors.reach_from(confidence, sides=2)[reference, chosen].mean())
    return Interval(estimate, centre - half, centre + half, len(values), confidence)


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
    "optimum_low": polars.Float64(),
    "optimum_high": polars.Float64(),
    "interval_reaches_smallest": polars.Boolean(),
    "interval_reaches_largest": polars.Boolean(),
    **{f"optimum_by_{name}": polars.Float64() for name in LOSSES},
    "metric": polars.String(),
    "metric_at_optimum": polars.Float64(),
    "metric_at_reference": polars.Float64(),
    "verdict": polars.String(),
    "note": polars.String(),
}
"""Columns of the optima table; warmups as fractions of training.

`optimum_low`, `optimum_high`: where the optimum of a curve with one valley lies (`single_valley`)."""

CROSSFIT: dict[str, polars.DataType] = {
    **{name: SCHEMA[name] for name in (*CELL, "role")},
    "reference": polars.Float64(),
    "n": polars.Int64(),
    "cells": polars.Int64(),
    "advantage": polars.Float64(),
    "advantage_low": polars.Float64(),
    "advantage_high": polars.Float64(),
    "agreement": polars.Float64(),
    "naive_advantage": polars.Float64(),
    "verdict": polars.String(),
    "note": polars.String(),
}
"""Columns of the crossfit table, in the outcome's unit; limits hold for all `cells` of the study together.

`agreement`: share of halves that chose the overall optimum."""
