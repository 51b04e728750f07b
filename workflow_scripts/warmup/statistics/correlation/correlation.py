"""Spike ratio against optimal warmup over cells: the coefficient, what it is worth, and when nothing can be said.

In: spike ratios and runs. Out: one table (`correlation_table`) with a row per measure, level, scope and method.
Intervals come with their own coverage at this design's size (`coverage`); those that fail it are
withheld: "cannot say".
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars
from scipy import stats

from warmup.statistics.base import outcomes
from warmup.statistics.base.intervals import CANNOT_SAY
from warmup.statistics.correlation import association, coverage
from warmup.statistics.correlation import methods as methods
from warmup.statistics.correlation.association import MEASURES, Points

OWN_RESIDUALS = 5
"""A cell with fewer seeds than this borrows the residuals of the other cells of its task."""


def correlation_table(
    runs: polars.DataFrame, spike_ratios: polars.DataFrame, settings: Mapping[str, Any]
) -> polars.DataFrame:
    """All rows for the cells of `runs` (a runs table); `settings` is the section `prediction`, with `outcome` added.

    Where architectures have relatives in the study, a further row has the measure `within_lineage`.

    Levels: `cross_fitted` (spike ratio from one fold of seeds, optimum from the others, averaged over folds),
    `same_seeds` (both from all seeds), `seeds` (the naive version: every seed a point). Scopes: `all`, `without
    <architecture>`.
    """
    points, notes = design(runs, spike_ratios, settings)
    rows: list[dict[str, Any]] = []
    reason = _too_small(points)
    simulated = None if reason else coverage.simulate(points, settings)
    for measure in MEASURES:
        rows += [{**row, "measure": measure} for row in _rows(measure, points, settings, simulated, reason)]
    if not reason and len(set(points.lineages_of_names)) < len(points.names):
        rows.append(_within_lineages(points, settings))
    common = {
        "cells": points.cells,
        "architectures": len(points.names),
        "seeds": points.seeds,
        "left_out": "; ".join(notes) or None,
    }
    return polars.DataFrame([{**common, **row} for row in rows], schema=SCHEMA, orient="row")


def design(
    runs: polars.DataFrame, spike_ratios: polars.DataFrame, settings: Mapping[str, Any]
) -> tuple[Points, list[str]]:
    """Cells that can enter, and a sentence for each that cannot.

    A cell enters with the seeds that have every warmup and a spike ratio at warmup 0, if those are more than half of
    its seeds.
    """
    spikes = spike_ratios.filter(polars.col("group") == "global", polars.col("warmup") == 0)
    found = {row[:4]: row[4] for row in spikes.select(*outcomes.CELL, "seed", "log_spike_ratio").iter_rows()}
    kept: list[association.PointRow] = []
    notes: list[str] = []
    lineages: list[str] = []
    for cell in outcomes.cells(runs, settings["outcome"]):
        key = (cell.architecture, cell.task, cell.recipe)
        x = np.array([found.get((*key, int(seed))) for seed in cell.block.seeds], dtype=np.float64)
        usable = np.isfinite(cell.block.values).all(axis=1) & np.isfinite(x)
        if 2 * usable.sum() <= len(x) or len(cell.warmups) < 2:
            notes.append(f"{' '.join(key)}: {usable.sum()} of {len(x)} seeds have every warmup and a spike ratio")
        elif cell.block.hopeless:
            notes.append(f"{' '.join(key)}: every run diverged")
        else:
            kept.append((cell.architecture, cell.task, cell.recipe, cell.warmups, x[usable], cell.block.values[usable]))
            lineages.append(cell.lineage)
    return replace(association.points(kept, settings["log_offset"]), lineages=tuple(lineages)), notes


def _rows(
    measure: str, points: Points, settings: Mapping[str, Any], coverage: Mapping[Any, Any] | None, reason: str | None
) -> list[dict[str, Any]]:
    base = {"scope": "all", "level": "cross_fitted"}
    if reason:
        return [{**base, "method": method, "verdict": CANNOT_SAY, "note": reason} for method in METHODS]
    folds = methods.folds_of(points, settings)
    value = methods.estimate(measure, points, folds)
    rows: list[dict[str, Any]] = []
    crossed = {**base, "estimate": value, "folds": folds}
    if folds == 1:
        crossed = {**crossed, "level": "same_seeds"}
    if value is None:
        note = "the spike ratio or the optimum is the same in all cells"
        rows += [{**crossed, "method": method, "verdict": CANNOT_SAY, "note": note} for method in METHODS]
    else:
        found = {
            "seed_bootstrap": _seed_interval(measure, points, folds, value, settings),
            "cluster_bootstrap": _cluster_interval(measure, points, folds, settings),
            "fisher_clusters": methods.fisher(value, len(points.names), settings["confidence"]),
            "permutation": _permutation(measure, points, folds, value, settings),
        }
        rows += [_judged({**crossed, "method": name} | row, coverage, measure, settings) for name, row in found.items()]
        if folds > 1:
            same = methods.estimate(measure, points, 1)
            rows.append(
                {**base, "level": "same_seeds", "method": "none", "estimate": same, "folds": 1, "verdict": "ok"}
            )
        rows += _left_out(measure, points, folds)
    return [*rows, _naive(measure, points, settings, coverage)]


def _judged(
    row: dict[str, Any], coverage: Mapping[Any, Any] | None, measure: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The row with its simulated coverage and size; limits withheld where the coverage falls short."""
    simulated = (coverage or {}).get((measure, row["method"]), {})
    row = {**row, **simulated}
    if row.get("note"):
        return {**row, "low": None, "high": None, "verdict": CANNOT_SAY}
    if row["method"] == "permutation":
        return {**row, "verdict": "ok"}
    withheld = {**row, "low": None, "high": None, "verdict": CANNOT_SAY}
    if simulated.get("coverage") is None:
        return withheld | {"note": simulated.get("note", "its coverage cannot be simulated")}
    least = settings["confidence"] - settings["coverage_tolerance"]
    if simulated["coverage"] + simulated["coverage_error"] < least:
        note = f"covers {simulated['coverage']:.0%} at this size in simulation, {settings['confidence']:.0%} is nominal"
        return withheld | {"note": note}
    return {**row, "verdict": "ok"} | (
        noiseless(row["low"], row["high"]) if row["method"] in OVER_ARCHITECTURES else {}
    )


def noiseless(low: float, high: float) -> dict[str, Any]:
    """Limits for the coefficient of the true optimum, from those for the optimum as it was measured.

    Few seeds and a coarse grid pull a coefficient towards 0, so the nearer limit holds for the true optimum as well and
    the farther one does not.
    """
    return {
        "noiseless_low": low if low > 0 else -1.0,
        "noiseless_high": high if high < 0 else 1.0,
        "note": "of the optimum as measured: few seeds and the grid pull it towards 0",
    }


def _seed_interval(
    measure: str, points: Points, folds: int, value: float, settings: Mapping[str, Any]
) -> dict[str, Any]:
    pools = methods.residual_pools(points)
    if pools is None:
        return {"note": "seed noise cannot be estimated: too few cells with two seeds"}
    rng = np.random.default_rng(methods.RANDOM_SEED)
    draws = methods.seed_draws(measure, points, pools, folds, settings["bootstrap"], rng)
    low, high = methods.basic(draws, value, settings["confidence"])
    if low is None:
        return {"note": "the coefficient is undefined in too many resamples"}
    return {"low": low, "high": high, "draws": settings["bootstrap"]}


def _cluster_interval(measure: str, points: Points, folds: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    spike, best = methods.pairs(points, folds)
    weights = methods.cluster_weights(points, settings["bootstrap"], np.random.default_rng(methods.RANDOM_SEED))
    tasks = association.task_matrix(points.tasks)
    draws = association.pooled(measure, spike, best, tasks, points.offset, weights)
    good = draws[np.isfinite(draws)]
    if len(good) < 0.95 * len(draws):
        share, count = 1 - len(good) / len(draws), len(points.names)
        return {"note": f"undefined in {share:.0%} of the resamples of {count} architectures"}
    tail = 0.5 - settings["confidence"] / 2
    low, high = np.quantile(good, [tail, 1 - tail])
    return {"low": float(low), "high": float(high), "draws": len(draws)}


def _permutation(measure: str, points: Points, folds: int, value: float, settings: Mapping[str, Any]) -> dict[str, Any]:
    order, exact = methods.permutations(
        len(points.names), settings["permutations"], np.random.default_rng(methods.RANDOM_SEED)
    )
    spike, best = methods.pairs(points, folds)
    column, present = methods.permuted(points, order)
    tasks = association.task_matrix(points.tasks)
    permuted_spike = np.moveaxis(spike[:, column], 0, 1)  # [permutations, folds, cells]
    draws = association.pooled(measure, permuted_spike, best, tasks, points.offset, present)
    found = methods.permutation_p(draws, value)
    smallest = 1.0 / len(draws)
    row: dict[str, Any] = {**found, "smallest_p": smallest, "draws": len(draws), "exact": exact}
    if smallest > 1 - settings["confidence"]:
        row["note"] = f"{len(points.names)} architectures: no p below {smallest:.3g} is possible"
    return row


def _left_out(measure: str, points: Points, folds: int) -> list[dict[str, Any]]:
    base = {"level": "cross_fitted" if folds > 1 else "same_seeds", "method": "none", "folds": folds}
    rows = []
    for name in points.names if len(points.names) > 1 else []:
        rest = points.without(name)
        value = methods.estimate(measure, rest, folds)
        verdict, note = ("ok", None) if value is not None else (CANNOT_SAY, "undefined without this architecture")
        rows.append({**base, "scope": f"without {name}", "estimate": value, "verdict": verdict, "note": note})
    return rows


def _naive(
    measure: str, points: Points, settings: Mapping[str, Any], coverage: Mapping[Any, Any] | None
) -> dict[str, Any]:
    """Every seed a point, as if independent. Shown as a warning.

    Its own spike ratio against the argmin of its own curve.
    """
    row: dict[str, Any] = {"level": "seeds", "scope": "all", "method": "naive"}
    x = np.concatenate(points.x)
    w = np.concatenate([association.optimum(y, grid) for y, grid in zip(points.y, points.warmups, strict=True)])
    names = [task for task, values in zip(points.tasks, points.x, strict=True) for _ in values]
    value = float(association.coefficient(measure, x, w, association.task_matrix(names), points.offset))
    n = len(x)
    if not math.isfinite(value) or n < 4:
        return {**row, "verdict": CANNOT_SAY, "note": "undefined: no variation among seeds' optima"}
    t = value * math.sqrt((n - 2) / max(1e-12, 1 - value * value))
    limits = methods.fisher(value, n, settings["confidence"])
    simulated = (coverage or {}).get((measure, "naive"), {})
    note = f"treats {n} seeds as independent points"
    if "size" in simulated:
        note += f"; in simulation at this size it rejects a true null {simulated['size']:.0%} of the time"
    p_value = float(stats.t.sf(t, n - 2))
    return {**row, "estimate": value, **limits, "p_value": p_value, **simulated, "verdict": "naive", "note": note}


def _within_lineages(points: Points, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Pearson's r among relatives: the mean of each lineage on each task is taken out, and one freedom per lineage."""
    labels = [f"{lineage} {task}" for lineage, task in zip(points.lineages, points.tasks, strict=True)]
    inside = replace(points, tasks=tuple(labels))
    folds, count = methods.folds_of(points, settings), len(points.names) - len(set(points.lineages_of_names)) + 1
    row = {"measure": "within_lineage", "scope": "all", "method": "fisher_clusters", "folds": folds}
    row |= {"level": "cross_fitted" if folds > 1 else "same_seeds"}
    value = methods.estimate("within_task", inside, folds)
    if value is None:
        return row | {"verdict": CANNOT_SAY, "note": "the spike ratio or the optimum is the same among all relatives"}
    found = methods.fisher(value, count, settings["confidence"])
    simulated = {("within_task", "fisher_clusters"): coverage.within_lineages(inside, count, settings)}
    return _judged({**row, "estimate": value} | found, simulated, "within_task", settings)


def _too_small(points: Points) -> str | None:
    if points.cells < 3:
        return f"{points.cells} cells with a spike ratio and an optimum: a correlation needs 3"
    if len(points.names) < 2:
        return "one architecture: nothing varies between architectures"
    return None


OVER_ARCHITECTURES = ("cluster_bootstrap", "fisher_clusters")
"""Methods whose limits are for architectures not in the study."""
METHODS = ("seed_bootstrap", "cluster_bootstrap", "fisher_clusters", "permutation")

_REALS = (
    "estimate",
    "low",
    "high",
    "noiseless_low",
    "noiseless_high",
    "p_value",
    "p_two_sided",
    "smallest_p",
    "coverage",
    "coverage_error",
    "size",
    "size_error",
)
SCHEMA = {
    **dict.fromkeys(("measure", "level", "scope", "method"), polars.String),
    **dict.fromkeys(_REALS, polars.Float64),
    **dict.fromkeys(("cells", "architectures", "seeds", "folds", "draws"), polars.Int64),
    "exact": polars.Boolean,
    **dict.fromkeys(("verdict", "note", "left_out"), polars.String),
}
