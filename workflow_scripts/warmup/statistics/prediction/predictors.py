"""What may predict a warmup, how each is fitted, and what it predicts for cells it was not fitted on.

In: runs and diagnostics. Out: `Study` (curves and readings), `Predictor`s with their plans, held-out positions.
Scoring is `leaderboard`'s business.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars

from warmup.statistics.base import outcomes
from warmup.statistics.prediction import maps
from warmup.statistics.prediction.diagnostics import DIAGNOSTICS
from warmup.statistics.prediction.maps import Curve

FEWEST_TRAINING = 2
"""Cells that a fit needs at least."""
TRAINED_ROLES = ("study", "variant")

CellKey = tuple[str, str, str]
Readings = dict[tuple[str, int], dict[CellKey, dict[int, float]]]
"""(diagnostic, budget) -> cell -> {seed: log value}."""
Plan = Callable[[Sequence[Curve]], Callable[[Curve], float]]
"""From training curves to a function that gives a held-out curve's predicted position."""


@dataclass(frozen=True)
class Predictor:
    """What predicts: a constant or a diagnostic, at a budget of early steps, through a map."""

    name: str
    kind: str
    budget: int
    map: str


BEST_CONSTANT = Predictor("best_constant", "constant", 0, "constant")
SELECTED = Predictor("selected", "selected", 0, "selected")


@dataclass(frozen=True)
class Study:
    """Curves of the cells that can be scored, their seeds, the logs of their diagnostics, and who cannot be scored."""

    curves: list[Curve]
    seeds: dict[CellKey, list[int]]
    readings: Readings
    left_out: list[str]


def study(runs: polars.DataFrame, diagnostics: polars.DataFrame, settings: Mapping[str, Any]) -> Study:
    """Cells of the study's own architectures that have a complete seed and a run that did not diverge."""
    curves, seeds, left_out = [], {}, []
    for cell in outcomes.cells(runs.filter(polars.col("role").is_in(TRAINED_ROLES)), settings["outcome"]):
        complete = np.isfinite(cell.block.values).all(axis=1)
        if not complete.any() or cell.block.hopeless or len(cell.warmups) < 2:
            reason = (
                "every run diverged"
                if cell.block.hopeless
                else f"{complete.sum()} complete seeds, {len(cell.warmups)} warmups"
            )
            left_out.append(f"{cell.architecture} {cell.task} {cell.recipe}: {reason}")
            continue
        curves.append(maps.curve(cell, settings["log_offset"]))
        seeds[key(curves[-1])] = cell.block.seeds[complete].tolist()
    return Study(curves, seeds, readings(diagnostics), left_out)


def readings(diagnostics: polars.DataFrame) -> Readings:
    """Logs of all values of a diagnostic table."""
    found: Readings = {}
    columns = ["diagnostic", "budget", *outcomes.CELL, "seed", "value"]
    for row in diagnostics.filter(polars.col("value").is_not_null()).select(columns).iter_rows():
        found.setdefault(row[:2], {}).setdefault(row[2:5], {})[row[5]] = float(np.log(row[6]))
    return found


def key(curve: Curve) -> CellKey:
    """(architecture, task, recipe)."""
    return curve.architecture, curve.task, curve.recipe


def predictors(data: Study, settings: Mapping[str, Any]) -> list[tuple[Predictor, Plan]]:
    """All predictors of the leaderboard, constants first, with how each is fitted."""
    constants = settings["constants"]
    found: list[tuple[Predictor, Plan]] = [(BEST_CONSTANT, best_constant)]
    found += [
        (Predictor(f"{share:g}", "constant", 0, "constant"), fixed(share, False)) for share in constants["fractions"]
    ]
    found += [
        (Predictor(f"{steps} steps", "constant", 0, "constant"), fixed(float(steps), True))
        for steps in constants["steps"]
    ]
    for name, budget in sorted(data.readings, key=lambda entry: (list(DIAGNOSTICS).index(entry[0]), entry[1])):
        for kind in map_names(name, settings):
            predictor = Predictor(name, "diagnostic", budget, kind)
            found.append((predictor, plan(kind, values(data, predictor))))
    return found


def candidates(data: Study, settings: Mapping[str, Any]) -> list[tuple[Predictor, Plan]]:
    """What may be selected: the best constant, and every early diagnostic (or of the recipe) by its first map."""
    known: list[tuple[Predictor, Plan]] = [(BEST_CONSTANT, best_constant)]
    for predictor, scheme in predictors(data, settings):
        early = predictor.kind == "diagnostic" and DIAGNOSTICS[predictor.name].needs != "run"
        if early and predictor.map == map_names(predictor.name, settings)[0]:
            known.append((predictor, scheme))
    return known


def select(
    axis: str, training: Sequence[Curve], data: Study, settings: Mapping[str, Any], target: CellKey
) -> tuple[Predictor, Plan]:
    """The candidate with the smallest regret when each architecture (or task) of `training` is left out in turn.

    Only candidates that have a value for all of `training` and for `target`. Ties go to the first: the constant.
    """
    return _best_of(axis, training, eligible(training, data, settings, target))


def eligible(
    training: Sequence[Curve], data: Study, settings: Mapping[str, Any], target: CellKey
) -> list[tuple[Predictor, Plan]]:
    """Candidates that have a value for all of `training` and for `target`."""
    needed = {*map(key, training), target}
    return [
        (predictor, scheme)
        for predictor, scheme in candidates(data, settings)
        if predictor.kind == "constant" or needed <= set(data.readings[predictor.name, predictor.budget])
    ]


def _best_of(axis: str, training: Sequence[Curve], choices: Sequence[tuple[Predictor, Plan]]) -> tuple[Predictor, Plan]:
    best, chosen = np.inf, choices[0]
    for predictor, scheme in choices:
        regret = mean_regret(held_out(axis, training, scheme))
        if regret is not None and regret < best - maps.TIE:
            best, chosen = regret, (predictor, scheme)
    return chosen


def selected(axis: str, data: Study, settings: Mapping[str, Any]) -> Plan:
    """The whole procedure as one predictor: select on the training cells, fit there, predict.

    Its own held-out regret counts what choosing among diagnostics costs, which the smallest regret of the leaderboard
    does not.
    """

    def fit(training: Sequence[Curve]) -> Callable[[Curve], float]:
        fitted: dict[frozenset[Predictor], Callable[[Curve], float]] = {}

        def predict(curve: Curve) -> float:
            choices = eligible(training, data, settings, key(curve))
            offered = frozenset(predictor for predictor, _ in choices)
            if offered not in fitted:
                fitted[offered] = _best_of(axis, training, choices)[1](training)
            return fitted[offered](curve)

        return predict

    return fit


def map_names(diagnostic: str, settings: Mapping[str, Any]) -> list[str]:
    """Maps that a diagnostic is tried with: one that is in steps is taken at its word."""
    return ["identity"] if DIAGNOSTICS[diagnostic].in_steps else list(settings["maps"])


def values(data: Study, predictor: Predictor) -> dict[CellKey, float]:
    """Log diagnostic per cell: the mean over the seeds that have one (so the geometric mean of the diagnostic)."""
    cells = data.readings[predictor.name, predictor.budget]
    return {cell: float(np.mean(list(found.values()))) for cell, found in cells.items()}


def usable(data: Study, predictor: Predictor) -> list[Curve]:
    """Curves for which the predictor has a value."""
    if predictor.kind != "diagnostic":
        return data.curves
    known = values(data, predictor)
    return [curve for curve in data.curves if key(curve) in known]


def plan(kind: str, u: Mapping[CellKey, float]) -> Plan:
    """A plan that reads `u` (log diagnostic per cell) through the map `kind`."""
    if kind == "identity":
        return lambda _: lambda curve: curve.position(float(np.exp(u[key(curve)])) / curve.steps)

    def fit(training: Sequence[Curve]) -> Callable[[Curve], float]:
        fitted = maps.MAPS[kind](training, np.array([u[key(curve)] for curve in training]))
        return lambda curve: float(fitted(np.array(u[key(curve)])))

    return fit


def held_out(axis: str, curves: Sequence[Curve], scheme: Plan) -> list[tuple[Curve, float]]:
    """Every curve with the position predicted for it by a fit without its own architecture and its relatives (or task).

    None where too few are left to fit on.
    """
    found = []
    for name in dict.fromkeys(curve.group(axis) for curve in curves):
        training = [curve for curve in curves if curve.group(axis) != name]
        if len(training) >= FEWEST_TRAINING:
            predict = scheme(training)
            found += [(curve, predict(curve)) for curve in curves if curve.group(axis) == name]
    return found


def best_constant(training: Sequence[Curve]) -> Callable[[Curve], float]:
    fitted = maps.constant(training)
    return lambda _: float(fitted(np.array(0.0)))


def fixed(amount: float, in_steps: bool) -> Plan:
    return lambda _: lambda curve: curve.position(amount / curve.steps if in_steps else amount)


def mean_regret(found: Sequence[tuple[Curve, float]]) -> float | None:
    return float(np.mean([curve.seed_regrets(position).mean() for curve, position in found])) if found else None
