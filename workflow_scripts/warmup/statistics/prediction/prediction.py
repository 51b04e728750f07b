"""The answer for an architecture that was not swept: how much warmup, how sure, and on what record.

In: the finished study (runs, diagnostics, leaderboard, held-out predictions) and the diagnostics of the new
architecture's short no-warmup runs. Out: one prediction per (architecture, task, recipe), as table rows and as JSON,
each with a sentence of advice. An architecture that was swept as well (role `validate`) has its prediction scored.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars

from warmup.statistics.base import outcomes
from warmup.statistics.base.intervals import CANNOT_SAY
from warmup.statistics.prediction import maps, predictors, regrets
from warmup.statistics.prediction.leaderboard import within
from warmup.statistics.prediction.maps import Curve
from warmup.statistics.prediction.predictors import BEST_CONSTANT, CellKey, Predictor, Study

AXIS = "architecture"


def predict(
    runs: polars.DataFrame,
    diagnostics: polars.DataFrame,
    probes: polars.DataFrame,
    leaderboard: polars.DataFrame,
    held_out: polars.DataFrame,
    plateaus: polars.DataFrame,
    settings: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Predictions for every cell of `probes` (a diagnostic table) and every swept cell whose role is `validate`.

    `settings`: section `prediction` with outcome, confidence, log_offset and `steps`, the planned steps of a run.
    """
    swept = runs.filter(polars.col("role") == "validate")
    both = polars.concat([diagnostics, probes])
    data = predictors.study(runs, both, settings)
    targets = polars.concat([probes.select(outcomes.CELL), swept.select(outcomes.CELL)]).unique(maintain_order=True)
    found = []
    for target in targets.iter_rows():
        row = _predict(target, data, leaderboard, held_out, settings)
        if not swept.is_empty():
            row |= _scored(target, row, swept, plateaus, settings)
        found.append(row | {"advice": advice(row)})
    return found


def _predict(
    target: CellKey, data: Study, leaderboard: polars.DataFrame, held_out: polars.DataFrame, settings: Mapping[str, Any]
) -> dict[str, Any]:
    training = [curve for curve in data.curves if curve.recipe == target[2]]
    steps = training[0].steps if training else settings["steps"]  # a recipe may have its own
    row: dict[str, Any] = dict(zip(outcomes.CELL, target, strict=True)) | {"steps": steps}
    if len(training) < predictors.FEWEST_TRAINING:
        note = f"{len(training)} finished cells of recipe {target[2]}, {predictors.FEWEST_TRAINING} are needed"
        return row | {"verdict": CANNOT_SAY, "note": note}
    chosen, scheme = predictors.select(AXIS, training, data, settings, target)
    record = _record("selected", leaderboard)
    if chosen.kind == "constant" or not _earns_its_place(record):
        chosen, scheme, record = BEST_CONSTANT, predictors.best_constant, _record("best_constant", leaderboard)
    position = scheme(training)(_blank(target, training))
    scores = _scores(record["predictor"], target[2], held_out)
    low, high, level, reason = jackknife(position, target[1], scores, settings["interval_level"])
    fraction = _fraction(position, settings)
    alternatives = _alternatives(target, training, data, settings)
    return row | {
        "predicted": fraction,
        "predicted_steps": _steps(fraction, steps),
        "low": low if low is None else _fraction(low, settings),
        "high": high if high is None else _fraction(high, settings),
        "level": level,
        "diagnostic": chosen.name,
        "budget": chosen.budget,
        "map": chosen.map,
        "value": _value(target, chosen, data),
        "record": record,
        "alternatives": alternatives,
        "verdict": "ok",
        "note": reason,
    }


def jackknife(
    position: float, task: str, scores: polars.DataFrame, level: float
) -> tuple[float | None, float | None, float, str | None]:
    """Interval of positions around a prediction, from the errors with which each architecture was left out.

    `scores` has lineage, task, error. An architecture's score (a lineage's: the largest of its members) is its error on
    `task`, or its largest where that task is new. With n architectures the k-th smallest, k = ceil((n + 1) level), is
    the half width; if k > n nothing can be said, and the note gives the level that n could reach. A jackknife: that it
    covers a new exchangeable architecture with probability `level` is no theorem (the fits of the scores lack one
    architecture each, that of the prediction none); simulations show it (docs/simulations_answers.md).
    """
    same = scores.filter(polars.col("task") == task)
    errors = (same if not same.is_empty() else scores).group_by("lineage").agg(polars.col("error").max())
    sizes = np.sort(errors["error"].to_numpy())
    n = len(sizes)
    rank = math.ceil((n + 1) * level - 1e-9)
    if rank > n:
        reason = f"no interval: {n} architectures reach {n / (n + 1):.0%} at most, {level:.0%} is asked for"
        return None, None, level, reason
    half = float(sizes[rank - 1])
    return position - half, position + half, level, None


def advice(row: Mapping[str, Any]) -> str:
    """One plain sentence or two for the person who trains."""
    where = f"{row['architecture']} on {row['task']}"
    if row["verdict"] == CANNOT_SAY:
        return f"Nothing can be said about the warmup of {where}: {row['note']}."
    amount = f"{_percent(row['predicted'])} of training ({row['predicted_steps']} of {row['steps']} steps)"
    start = f"For {where}, warm up over {amount}"
    if row["low"] is None:
        start += "; how far off that may be cannot be said from so few architectures"
    elif _steps(row["low"], row["steps"]) == 0 and _steps(row["high"], row["steps"]) == row["steps"]:
        start += f", but the interval for {row['level']:.0%} of architectures excludes no warmup at all"
    else:
        limits = f"{_percent(row['low'])} and {_percent(row['high'])}"
        start += f"; the best warmup lies between {limits} for {row['level']:.0%} of architectures like those swept"
    record = row["record"]
    if record["regret"] is None:
        return f"{start}. There is no other architecture on which this could have been tried out."
    noise = record["noise_regret"]
    tried = f"n = {record['architectures']}"
    tried += "" if noise is None else f"; seed noise alone would show {_share(noise)}"
    cost = f"{_share(record['regret'])} of the loss on architectures it had not seen ({tried})"
    if row["diagnostic"] == BEST_CONSTANT.name:
        return f"{start}. No diagnostic did better out of sample than one warmup for all, which cost {cost}."
    name = row["diagnostic"].replace("_", " ")
    when = f"after {row['budget']} steps without warmup" if row["budget"] else "from the recipe alone"
    other = _share(record["regret"] - record["versus_constant"])
    return f"{start}. It is read off the {name} {when}; choosing so cost {cost}, one warmup for all {other}."


def _earns_its_place(record: Mapping[str, Any]) -> bool:
    """A diagnostic is used if choosing one cost less, on architectures left out, than one warmup for all."""
    return record.get("versus_constant") is not None and record["versus_constant"] < 0


def _record(predictor: str, leaderboard: polars.DataFrame) -> dict[str, Any]:
    """Record on architectures left out: regret with intervals, against the best constant, plateau share."""
    rows = leaderboard.filter(
        polars.col("axis") == AXIS,
        polars.col("predictor") == predictor,
        polars.col("kind").is_in(["constant", "selected"]),
    )
    return {"predictor": predictor, **rows.drop("axis", "kind", "budget", "map", "predictor").row(0, named=True)}


def _scores(predictor: str, recipe: str, held_out: polars.DataFrame) -> polars.DataFrame:
    here = (polars.col("axis") == AXIS) & (polars.col("predictor") == predictor) & (polars.col("recipe") == recipe)
    return held_out.filter(here)


def _blank(target: CellKey, training: Sequence[Curve]) -> Curve:
    """A curve without outcomes: name, steps, range of warmups, all that a plan may see of a cell it predicts."""
    widest = max(training, key=lambda curve: float(curve.warmups[-1]))
    return Curve(*target, widest.steps, widest.offset, widest.warmups, np.empty((0, len(widest.warmups))))


def _alternatives(
    target: CellKey, training: Sequence[Curve], data: Study, settings: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """What every candidate with a value would have predicted."""
    rows = []
    for predictor, scheme in predictors.candidates(data, settings):
        usable = [curve for curve in predictors.usable(data, predictor) if curve.recipe == target[2]]
        known = predictor.kind == "constant" or target in data.readings[predictor.name, predictor.budget]
        if known and len(usable) >= predictors.FEWEST_TRAINING:
            fraction = _fraction(scheme(usable)(_blank(target, training)), settings)
            rows.append(
                {"diagnostic": predictor.name, "budget": predictor.budget, "map": predictor.map}
                | {"predicted": fraction, "predicted_steps": _steps(fraction, training[0].steps)}
                | {"value": _value(target, predictor, data)}
            )
    return rows


def _value(target: CellKey, predictor: Predictor, data: Study) -> float | None:
    if predictor.kind == "constant":
        return None
    return float(np.exp(predictors.values(data, predictor)[target]))


def _scored(
    target: CellKey,
    row: Mapping[str, Any],
    swept: polars.DataFrame,
    plateaus: polars.DataFrame,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """How the prediction did where the full sweep was run: its regret with an interval, whether the sets hold it."""
    cells = {(cell.architecture, cell.task, cell.recipe): cell for cell in outcomes.cells(swept, settings["outcome"])}
    if target not in cells or row.get("predicted") is None:
        return {}
    cell = cells[target]
    if not len(cell.block.complete) or cell.block.hopeless:
        return {"validation": {"verdict": CANNOT_SAY, "note": "no seed has every warmup, or every run diverged"}}
    curve = maps.curve(cell, settings["log_offset"])
    position, best = curve.position(row["predicted"]), float(curve.warmups[curve.best])
    cost = regrets.regret(curve, position)
    regret = regrets.mean_regret_columns([cost], [target[0]], settings["confidence"])
    lines = plateaus.select(*outcomes.CELL, "not_excluded", "demonstrated").iter_rows()
    sets = {line[:3]: line[3:] for line in lines}
    known = regret["regret_low"] is not None
    inside = within(curve, position, sets.get(target, (None, None)))
    covered = None if row["low"] is None else bool(row["low"] - 1e-9 <= best <= row["high"] + 1e-9)
    return {
        "validation": {name: regret[name] for name in ("regret", "regret_low", "regret_high", "noise_regret")}
        | {"optimum": best, "in_interval": covered, "in_plateau": inside[0], "demonstrated": inside[1]}
        | {
            "seeds": cost.seeds,
            "verdict": "ok" if known else CANNOT_SAY,
            "note": "" if known else "one seed: no interval",
        }
    }


def table(predictions: Sequence[Mapping[str, Any]]) -> polars.DataFrame:
    """The predictions as rows; record and validation flattened to `record_...`, `validation_...`."""
    rows = []
    for prediction in predictions:
        flat = {name: value for name, value in prediction.items() if name in PREDICTIONS}
        for part in ("record", "validation"):
            flat |= {f"{part}_{name}": value for name, value in prediction.get(part, {}).items()}
        rows.append({name: flat.get(name) for name in PREDICTIONS})
    return polars.DataFrame(rows, schema=PREDICTIONS, orient="row")


def _fraction(position: float, settings: Mapping[str, Any]) -> float:
    return float(np.clip(np.exp(position) - settings["log_offset"], 0.0, 1.0))


def _steps(fraction: float, steps: int) -> int:
    return int(fraction * steps + 0.5)


def _percent(share: float) -> str:
    """A warmup, which ends at 100 %."""
    return "100 %" if share > 0.995 else _share(share)


def _share(share: float) -> str:
    return "0 %" if share < 1e-9 else f"{100 * share:.3g} %" if share > 0.995 else f"{100 * share:.2g} %"


PREDICTIONS = {
    **dict.fromkeys(outcomes.CELL, polars.String),
    "steps": polars.Int64,
    "predicted": polars.Float64,
    "predicted_steps": polars.Int64,
    **dict.fromkeys(("low", "high", "level"), polars.Float64),
    "diagnostic": polars.String,
    "budget": polars.Int64,
    "map": polars.String,
    "value": polars.Float64,
    **dict.fromkeys(("record_regret", "record_regret_new_low", "record_regret_new_high"), polars.Float64),
    **dict.fromkeys(("record_noise_regret", "record_versus_constant", "record_share_in_plateau"), polars.Float64),
    "record_architectures": polars.Int64,
    **dict.fromkeys(("validation_regret", "validation_regret_low", "validation_regret_high"), polars.Float64),
    "validation_optimum": polars.Float64,
    **dict.fromkeys(("validation_in_interval", "validation_in_plateau"), polars.Boolean),
    **dict.fromkeys(("verdict", "note", "advice"), polars.String),
}
"""Columns of the predictions table; warmups as fractions of training, regrets as shares of the loss."""
