"""Whether the interval of a prediction holds the best warmup of lineages left out: one row per cell left out and rule.

In: runs and diagnostics of a reference. Out: COVERAGE. A lineage is left out of all that makes its interval: of the
fit, and of the fits behind the other lineages' errors, from which the width comes. (The errors in a leaderboard's
held-out predictions leave out one lineage at a time; intervals made of those would know the one they are tried on.)
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars

from warmup.advice.words import excludes
from warmup.statistics.base import outcomes
from warmup.statistics.prediction import prediction, predictors
from warmup.statistics.prediction.maps import Curve
from warmup.statistics.prediction.predictors import Plan

AXIS = prediction.AXIS
SCORES = {"recipe": polars.String, "lineage": polars.String, "task": polars.String, "error": polars.Float64}


def coverage(runs: polars.DataFrame, diagnostics: polars.DataFrame, settings: Mapping[str, Any]) -> polars.DataFrame:
    """COVERAGE of every rule that advice may rest on: the best constant, each early diagnostic, the choice among them.

    `settings`: section `prediction` with outcome, confidence, log_offset.
    """
    data = predictors.study(runs, diagnostics, settings)
    rules = [*predictors.candidates(data, settings), (predictors.SELECTED, predictors.selected(AXIS, data, settings))]
    rows = []
    for rule, scheme in rules:
        known, plan = predictors.usable(data, rule), _remembering(scheme)
        for lineage in dict.fromkeys(curve.group(AXIS) for curve in known):
            others = [curve for curve in known if curve.group(AXIS) != lineage]
            scores = _scores(others, plan)
            if scores.is_empty():  # two lineages: none is left to score the other by
                continue
            predict = plan(others)
            for curve in (curve for curve in known if curve.group(AXIS) == lineage):
                found = _tried(curve, predict(curve), scores.filter(recipe=curve.recipe), settings)
                rows.append({"predictor": rule.name, "budget": rule.budget, "map": rule.map, **found})
    return polars.DataFrame(rows, schema=COVERAGE, orient="row")


def _scores(curves: Sequence[Curve], plan: Plan) -> polars.DataFrame:
    """How far off each of `curves` was when its lineage alone was left out of them."""
    rows = [
        (curve.recipe, curve.group(AXIS), curve.task, _error(curve, position))
        for curve, position in predictors.held_out(AXIS, curves, plan)
    ]
    return polars.DataFrame(rows, schema=SCORES, orient="row")


def _tried(curve: Curve, position: float, scores: polars.DataFrame, settings: Mapping[str, Any]) -> dict[str, Any]:
    low, high, *_ = prediction.jackknife(position, curve.task, scores, settings["interval_level"])
    ends = [None if end is None else float(np.clip(np.exp(end) - curve.offset, 0.0, 1.0)) for end in (low, high)]
    return {
        **dict(zip(outcomes.CELL, predictors.key(curve), strict=True)),
        "lineage": curve.group(AXIS),
        "predicted": curve.fraction(position),
        "low": ends[0],
        "high": ends[1],
        "optimum": float(curve.warmups[curve.best]),
        "held": None if high is None else _error(curve, position) <= high - position + 1e-9,
        "excludes": None if ends[0] is None or ends[1] is None else excludes(ends[0], ends[1]),
    }


def _error(curve: Curve, position: float) -> float:
    """The farthest that the best warmup, which lies between the neighbours of the best one tried, may be off."""
    return max(abs(position - end) for end in curve.around_best)


def _remembering(plan: Plan) -> Plan:
    """`plan`, which fits each set of training cells once: with two lineages left out, each set comes up twice."""
    fitted: dict[frozenset[predictors.CellKey], Callable[[Curve], float]] = {}

    def fit(training: Sequence[Curve]) -> Callable[[Curve], float]:
        cells = frozenset(predictors.key(curve) for curve in training)
        if cells not in fitted:
            fitted[cells] = plan(training)
        return fitted[cells]

    return fit


COVERAGE = {
    "predictor": polars.String,
    "budget": polars.Int64,
    "map": polars.String,
    **dict.fromkeys((*outcomes.CELL, "lineage"), polars.String),
    **dict.fromkeys(("predicted", "low", "high", "optimum"), polars.Float64),
    **dict.fromkeys(("held", "excludes"), polars.Boolean),
}
"""Columns of the coverage table; warmups as fractions of training. `held`: the interval holds the best warmup tried and
all between its neighbours, where a better one may lie; `excludes`: it leaves out something between no warmup and all of
training. Null where the other lineages are too few for an interval."""
