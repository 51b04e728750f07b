"""Every diagnostic scored alike, out of sample: leave one out, fit on the rest, count the regret.

In: runs, diagnostics, plateau sets. Out: the leaderboard (a row per axis, predictor, budget and map) and the held-out
predictions behind it (a row per cell). Negative controls stand beside the real diagnostics: the diagnostic shuffled
between architectures, and the diagnostic read from other seeds than those the outcome comes from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars

from warmup.statistics.base import outcomes
from warmup.statistics.base.intervals import CANNOT_SAY, paired_t
from warmup.statistics.correlation import methods
from warmup.statistics.prediction import predictors, regrets
from warmup.statistics.prediction.maps import Curve, Floats
from warmup.statistics.prediction.predictors import Predictor, Study

AXES = ("architecture", "task")
RANDOM_SEED = 20_260_716


def leaderboard(
    runs: polars.DataFrame, diagnostics: polars.DataFrame, plateaus: polars.DataFrame, settings: Mapping[str, Any]
) -> tuple[polars.DataFrame, polars.DataFrame]:
    """The leaderboard and the held-out predictions.

    `settings`: section `prediction` with outcome, confidence, log_offset.
    """
    data = predictors.study(runs, diagnostics, settings)
    sets = {row[:3]: row[3:] for row in plateaus.select(*outcomes.CELL, "not_excluded", "demonstrated").iter_rows()}
    table: list[dict[str, Any]] = []
    cells: list[dict[str, Any]] = []
    for axis in AXES:
        for predictor, scheme in [
            *predictors.predictors(data, settings),
            (predictors.SELECTED, predictors.selected(axis, data, settings)),
        ]:
            usable = predictors.usable(data, predictor)
            found = predictors.held_out(axis, usable, scheme)
            # fitted on the very cells that the predictor was fitted on: one it has no value for helps neither
            reference = predictors.held_out(axis, usable, predictors.best_constant)
            table.append(_score(axis, predictor, found, reference, sets, data, settings))
            cells += [_cell_row(axis, predictor, curve, position, sets) for curve, position in found]
    table += _controls("architecture", data, settings)
    frame = polars.DataFrame(table, schema=LEADERBOARD, orient="row")
    return _ranked(frame), polars.DataFrame(cells, schema=HELD_OUT, orient="row")


def _score(
    axis: str,
    predictor: Predictor,
    found: Sequence[tuple[Curve, float]],
    reference: Sequence[tuple[Curve, float]],
    sets: Mapping[predictors.CellKey, tuple[list[float] | None, list[float] | None]],
    data: Study,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """One row: regret with its two intervals, the difference to the best constant on the same cells, plateau shares."""
    row: dict[str, Any] = {"axis": axis, "predictor": predictor.name, "kind": predictor.kind}
    row |= {"budget": predictor.budget, "map": predictor.map, "cells": len(found)}
    row |= {"architectures": len({curve.group("architecture") for curve, _ in found})}
    if not found:
        return row | {"verdict": CANNOT_SAY, "note": f"nothing to fit on once one {axis} is left out"}
    constants = {predictors.key(curve): position for curve, position in reference}
    versus = [
        (curve.at(position) - curve.at(constants[predictors.key(curve)])) / curve.scale for curve, position in found
    ]
    groups = [curve.group(axis) for curve, _ in found]
    costs = [regrets.regret(curve, position) for curve, position in found]
    row |= regrets.mean_regret_columns(costs, groups, settings["confidence"])
    if predictor.name != "best_constant":
        row |= _differences("versus_constant", versus, groups, settings["confidence"])
    inside = [within(curve, position, sets.get(predictors.key(curve), (None, None))) for curve, position in found]
    for index, name in enumerate(("share_in_plateau", "share_demonstrated")):
        known = [flag for flag in (pair[index] for pair in inside) if flag is not None]
        row[name] = float(np.mean(known)) if known else None
    left = len(data.curves) - len(found)
    notes = [f"{left} cells have no value"] if left else []
    if predictor.kind == "diagnostic" and not any(difference.any() for difference in versus):
        notes.append("it predicts what the best constant does in every cell")
    note = "; ".join(notes) or None
    known_limits = row.get("regret_low") is not None
    return row | {
        "verdict": "ok" if known_limits else CANNOT_SAY,
        "note": note if known_limits else "one seed: no interval",
    }


def _differences(
    name: str, per_seed: Sequence[Floats], groups: Sequence[str], confidence: float
) -> dict[str, float | None]:
    """Mean over cells of differences between two warmups, with two pairs of limits.

    `_low`, `_high`: seed noise alone, these cells given; `_new_low`, `_new_high`: t over the held-out groups, for an
    architecture (or task) not yet seen.
    """
    means = np.array([values.mean() for values in per_seed])
    centre = float(means.mean())
    row: dict[str, float | None] = {name: centre}
    if all(len(values) > 1 for values in per_seed):
        squares = [(float(values.var(ddof=1)) / len(values), len(values)) for values in per_seed]
        half = regrets.mean_half_width(squares, confidence)
        row |= {f"{name}_low": centre - half, f"{name}_high": centre + half}
    by_group = [means[[group == other for other in groups]].mean() for group in dict.fromkeys(groups)]
    found = paired_t(by_group, confidence)
    return row | {f"{name}_new_low": found.low, f"{name}_new_high": found.high}


def within(
    curve: Curve, position: float, sets: tuple[Sequence[float] | None, Sequence[float] | None]
) -> list[bool | None]:
    """Whether the position lies in each set: the warmups on both sides of it belong to it.

    None where there is no set.
    """
    below = max(0, int(np.searchsorted(curve.z, position + 1e-9)) - 1)
    exact = abs(curve.z[below] - position) < 1e-6
    sides = curve.warmups[[below, below if exact else min(below + 1, len(curve.z) - 1)]]
    return [None if members is None else all(np.isclose(members, side).any() for side in sides) for members in sets]


def _cell_row(
    axis: str, predictor: Predictor, curve: Curve, position: float, sets: Mapping[predictors.CellKey, tuple[Any, Any]]
) -> dict[str, Any]:
    inside = within(curve, position, sets.get(predictors.key(curve), (None, None)))
    best = float(curve.warmups[curve.best])
    return {
        **dict(zip(outcomes.CELL, predictors.key(curve), strict=True)),
        **{"lineage": curve.group("architecture")},
        **{"axis": axis, "predictor": predictor.name, "budget": predictor.budget, "map": predictor.map},
        **{"predicted": curve.fraction(position), "predicted_steps": int(curve.fraction(position) * curve.steps + 0.5)},
        **{"optimum": best, "error": max(abs(position - end) for end in curve.around_best)},
        **{"regret": float(curve.seed_regrets(position).mean()), "in_plateau": inside[0], "demonstrated": inside[1]},
    }


def _controls(axis: str, data: Study, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Negative controls of every diagnostic that is fitted, through its first map."""
    rng = np.random.default_rng(RANDOM_SEED)
    rows = []
    for name, budget in data.readings:
        predictor = Predictor(name, "diagnostic", budget, predictors.map_names(name, settings)[0])
        if predictor.map == "identity":
            continue
        base = {"axis": axis, "predictor": name, "budget": budget, "map": predictor.map}
        rows.append(base | {"kind": "shuffled"} | _shuffled(axis, predictor, data, settings, rng))
        rows.append(base | {"kind": "other_seeds"} | _halved("other_seeds", axis, predictor, data, settings))
        rows.append(base | {"kind": "same_seeds"} | _halved("same_seeds", axis, predictor, data, settings))
    return rows


def _shuffled(
    axis: str, predictor: Predictor, data: Study, settings: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """Mean regret when architectures swap their diagnostics (whole, over tasks).

    With its 5 and 95 % points over shuffles. `p_value`: share of shuffles, the true order counted in, that do as well
    as the truth; with few architectures over all orders, so that it is never below one over their number.
    """
    curves, known = predictors.usable(data, predictor), predictors.values(data, predictor)
    names = list(dict.fromkeys(curve.architecture for curve in curves))
    truth = predictors.mean_regret(predictors.held_out(axis, curves, predictors.plan(predictor.map, known)))
    row: dict[str, Any] = {"cells": len(curves), "architectures": len(names)}
    if len(names) < 3 or truth is None:
        return row | {"verdict": CANNOT_SAY, "note": f"{len(names)} architectures: nothing to shuffle"}
    found = []
    most = settings["shuffles"] + 1
    orders, exact = methods.permutations(len(names), most, rng, exact=most)
    for order in orders[1:]:
        giver = {name: names[index] for name, index in zip(names, order, strict=True)}
        swapped = {predictors.key(c): known.get((giver[c.architecture], c.task, c.recipe)) for c in curves}
        values_ = {cell: u for cell, u in swapped.items() if u is not None}
        regret = predictors.mean_regret(
            predictors.held_out(
                axis, [c for c in curves if predictors.key(c) in values_], predictors.plan(predictor.map, values_)
            )
        )
        if regret is not None:
            found.append(regret)
    if not found:
        return row | {"verdict": CANNOT_SAY, "note": "no shuffle leaves enough cells to fit"}
    better = sum(regret <= truth + 1e-12 for regret in found)
    row |= {"regret": float(np.mean(found)), "p_value": (1 + better) / (1 + len(found))}
    low, high = np.quantile(found, [0.05, 0.95])
    note = f"limits: 5 and 95 % points of {'all' if exact else ''} {len(found)} shuffles".replace("  ", " ")
    return row | {"regret_low": float(low), "regret_high": float(high), "verdict": "control", "note": note}


def _halved(kind: str, axis: str, predictor: Predictor, data: Study, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Regret when diagnostic and outcome come from different seeds (`other_seeds`), and, to compare it with, when both
    come from the seeds that give the outcomes there (`same_seeds`): fewer seeds alone make a regret larger.

    Folds of seeds in turn, the others' outcomes, averaged.
    """
    cells = data.readings[predictor.name, predictor.budget]
    curves = predictors.usable(data, predictor)
    folds = min([settings["folds"], *(len(data.seeds[predictors.key(curve)]) for curve in curves)], default=0)
    row: dict[str, Any] = {"cells": len(curves), "architectures": len({curve.architecture for curve in curves})}
    if folds < 2:
        return row | {"verdict": CANNOT_SAY, "note": "one seed: there is no other"}
    per_fold = []
    for fold in range(folds):
        u, others = {}, []
        for curve in curves:
            seeds = data.seeds[predictors.key(curve)]
            inside = [
                cells[predictors.key(curve)][s]
                for i, s in enumerate(seeds)
                if (i % folds == fold) == (kind == "other_seeds") and s in cells[predictors.key(curve)]
            ]
            if inside:
                u[predictors.key(curve)] = float(np.mean(inside))
                keep = [i for i in range(len(seeds)) if i % folds != fold]
                others.append(replace(curve, values=curve.values[keep]))
        per_fold.append(predictors.mean_regret(predictors.held_out(axis, others, predictors.plan(predictor.map, u))))
    known = [regret for regret in per_fold if regret is not None]
    if not known:
        return row | {"verdict": CANNOT_SAY, "note": "too few cells to fit"}
    note = f"mean over {folds} folds of seeds"
    return row | {"regret": float(np.mean(known)), "verdict": "control", "note": note}


def _ranked(table: polars.DataFrame) -> polars.DataFrame:
    """Rank by regret among the real predictors of an axis that have a value for every cell: regrets over other cells
    are no match. The shuffled control's p beside the diagnostic it belongs to.
    """
    same = ["axis", "predictor", "budget", "map"]
    shuffled = table.filter(polars.col("kind") == "shuffled").select(*same, p_shuffled="p_value")
    whole = polars.col("cells") == polars.col("cells").max().over("axis")
    real = polars.col("kind").is_in(["constant", "diagnostic", "selected"]) & whole
    rank = polars.when(real).then(polars.col("regret")).rank("min").over("axis").cast(polars.Int64)
    joined = table.drop("p_shuffled").join(shuffled, on=same, how="left", maintain_order="left")
    return joined.with_columns(
        rank=rank, p_shuffled=polars.when(polars.col("kind") == "diagnostic").then("p_shuffled")
    ).select(*LEADERBOARD)


_REALS = [
    f"{name}{end}" for name in ("regret", "versus_constant") for end in ("", "_low", "_high", "_new_low", "_new_high")
]

LEADERBOARD = {
    **dict.fromkeys(("axis", "predictor", "kind"), polars.String),
    "budget": polars.Int64,
    "map": polars.String,
    "rank": polars.Int64,
    **dict.fromkeys((*_REALS, "noise_regret"), polars.Float64),
    **dict.fromkeys(("share_in_plateau", "share_demonstrated", "p_value", "p_shuffled"), polars.Float64),
    **dict.fromkeys(("cells", "architectures"), polars.Int64),
    **dict.fromkeys(("verdict", "note"), polars.String),
}
"""Columns of the leaderboard. `architectures` counts those left out one by one: relatives count once. Regrets are
shares of the smallest mean loss (0.01 is 1 %); `noise_regret` is what any constant has on these cells if warmup makes
no difference at all."""
HELD_OUT = {
    **dict.fromkeys((*outcomes.CELL, "lineage", "axis", "predictor"), polars.String),
    "budget": polars.Int64,
    "map": polars.String,
    "predicted": polars.Float64,
    "predicted_steps": polars.Int64,
    "optimum": polars.Float64,
    "error": polars.Float64,
    "regret": polars.Float64,
    "in_plateau": polars.Boolean,
    "demonstrated": polars.Boolean,
}
"""Columns of the held-out predictions; `error` is the largest |log(predicted + offset) - log(w + offset)| that the best
warmup w may have: it lies somewhere between the warmups beside the best one tried."""
