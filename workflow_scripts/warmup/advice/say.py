"""From a reference and a model's diagnostics to advice: a warmup, how sure, on what record; or the word "cannot say".

In: a `Reference`, diagnostics of the model, what is planned. Out: builtins (answers.schema.yaml) and lines.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars

from warmup.advice.reference import PREDICTS_FROM, Reference
from warmup.advice.track_record import held
from warmup.advice.words import excludes, listed, percent, rests_on
from warmup.statistics.base.intervals import CANNOT_SAY
from warmup.statistics.prediction import prediction
from warmup.statistics.prediction.prediction import AXIS
from warmup.statistics.prediction.predictors import BEST_CONSTANT, SELECTED, Predictor

SHOWN = ("scale", "studies", "runs", "lineages", "steps", "seeds", "commit", "command")
"""What an answer says of its reference."""

FAR = 3.0
"""A plan whose steps or peak rate differ from the reference's by more than this factor is one nobody tried."""


def advise(
    reference: Reference, probes: polars.DataFrame, planned: Mapping[str, Any], tokens_per_step: int | None
) -> dict[str, Any]:
    """The advice for the one cell in `probes`.

    planned: steps, peak_learning_rate, betas, optimizer. "predicted" where a diagnostic was shown, on lineages left
    out, to choose better than one warmup for all, and its interval excludes something; else "cannot say" with the
    warmup that costs least on average and the most it cost.
    """
    settings = {**reference.settings, "steps": planned["steps"]}
    tables = {name: reference.tables[name] for name in PREDICTS_FROM}
    (row,) = prediction.predict(**tables, probes=probes, settings=settings)
    outside = list(_outside(reference, planned, row["recipe"]))
    board = reference.tables["leaderboard"]
    constant = _constant(row)
    found: dict[str, Any] = {
        "steps": planned["steps"],
        "reference": {name: reference.about[name] for name in SHOWN},
        "outside": outside,
        "would_change_it": list(_would_change(reference, outside)),
    }
    if row["verdict"] == CANNOT_SAY or constant is None:
        return found | {"verdict": CANNOT_SAY, "note": row["note"] or "no constant", "warmup": None, "record": None}
    shown = row["diagnostic"] != BEST_CONSTANT.name and _better_than_constant(board, row["record"]["predictor"])
    narrow = row["low"] is not None and excludes(row["low"], row["high"])
    said = shown and narrow and not outside
    rule = SELECTED if said else BEST_CONSTANT
    scores = reference.tables["held_out"].filter(axis=AXIS, predictor=rule.name, recipe=row["recipe"])
    chosen, limits = row["predicted"], [row["low"], row["high"]]
    if not said:
        chosen = constant
        position = math.log(chosen + settings["log_offset"])
        ends = prediction.jackknife(position, row["task"], scores, row["level"])[:2]
        limits = [None if end is None else _clipped(end, settings) for end in ends]
    steps = int(chosen * planned["steps"] + 0.5)
    return found | {
        "verdict": "predicted" if said else CANNOT_SAY,
        "note": "" if said else _why_not(row, shown, narrow, outside),
        "warmup": {
            "fraction": chosen,
            "steps": steps,
            "tokens": None if tokens_per_step is None else steps * tokens_per_step,
            "low": limits[0],
            "high": limits[1],
            "level": row["level"],
            "coverage": held(reference, rule),
        },
        "diagnostic": row["diagnostic"] if said else rule.name,
        "budget": row["budget"] if said else 0,
        "value": row["value"] if said else None,
        "record": _record(board, rule, scores),
        "alternatives": row["alternatives"],
    }


def lines(advice: Mapping[str, Any], name: str) -> Iterator[str]:
    """The advice as text."""
    warmup, record = advice["warmup"], advice["record"]
    if warmup is None:
        yield f"{name}: cannot say how much warmup this model needs: {advice['note']}"
        return
    tokens = "" if warmup["tokens"] is None else f", {warmup['tokens']:,} tokens"
    amount = f"{warmup['steps']} of {advice['steps']} steps ({percent(warmup['fraction'])} of training{tokens})"
    if advice["verdict"] == "predicted":
        yield f"{name}: warm up over {amount}"
        what = advice["diagnostic"].replace("_", " ")
        yield f"  why: read off the {what} of the first {advice['budget']} steps without warmup"
    else:
        yield f"{name}: cannot say how much warmup this model needs"
        yield f"  why: {advice['note']}"
        yield f"  meanwhile take {amount}: one warmup for all, the cheapest over the reference"
    if record is not None:
        yield (
            f"  what choosing so cost: {percent(record['regret'])} of the loss on average, {percent(record['worst'])} "
            f"in the worst of {record['lineages']} lineages, each left out in turn (noise between seeds alone would "
            f"look like {percent(record['noise'])})"
        )
    if warmup["low"] is None:
        count = len(advice["reference"]["lineages"])
        yield f"  where the best warmup lies: no interval, {count} lineages are too few for {percent(warmup['level'])}"
    else:
        tried = warmup["coverage"]
        held = f"; tried on cells left out, it held in {tried['held']} of {tried['cells']}" if tried else ""
        anything = "" if excludes(warmup["low"], warmup["high"]) else " (that is: anywhere)"
        yield (
            f"  where the best warmup lies: between {percent(warmup['low'])} and {percent(warmup['high'])} of "
            f"training{anything} for {percent(warmup['level'])} of lineages like those{held}"
        )
    yield f"  rests on {rests_on(advice['reference'])}"
    yield from (f"  to know more: {one}" for one in advice["would_change_it"])


def _better_than_constant(board: polars.DataFrame, predictor: str) -> bool:
    """Whether a new lineage, too, would be served better than by one warmup for all (upper t limit below zero)."""
    row = board.filter(axis=AXIS, predictor=predictor).row(0, named=True)
    limit = row["versus_constant_new_high"]
    return limit is not None and limit < 0


def _constant(row: Mapping[str, Any]) -> float | None:
    if row.get("diagnostic") == "best_constant":
        return float(row["predicted"])
    known = [other["predicted"] for other in row.get("alternatives", []) if other["diagnostic"] == "best_constant"]
    return float(known[0]) if known else None


def _record(board: polars.DataFrame, rule: Predictor, scores: polars.DataFrame) -> dict[str, Any] | None:
    if scores.is_empty():
        return None
    row = board.filter(axis=AXIS, predictor=rule.name).row(0, named=True)
    worst = scores.group_by("lineage").agg(polars.col("regret").mean())["regret"].max()
    return {
        "predictor": rule.name,
        "lineages": row["architectures"],
        "regret": row["regret"],
        "regret_new_low": row["regret_new_low"],
        "regret_new_high": row["regret_new_high"],
        "noise": row["noise_regret"],
        "versus_constant": row["versus_constant"],
        "worst": worst,
    }


def _outside(reference: Reference, planned: Mapping[str, Any], recipe: str) -> Iterator[str]:
    """What of the plan the reference has not tried."""
    known = reference.about
    for name, tried, word in (
        ("steps", known["steps"], "steps"),
        ("peak_learning_rate", known["peak_learning_rates"], "peak rate"),
    ):
        low, high = min(tried) / FAR, max(tried) * FAR
        if not low <= planned[name] <= high:
            yield f"{word} {planned[name]:g}, where the reference tried {listed(tried)}"
    trained = known["recipes"][recipe]
    if planned["optimizer"].lower() != trained["optimizer"]:
        yield f"optimizer {planned['optimizer']}, where the reference tried {trained['optimizer']}"
    elif list(planned["betas"]) != list(trained["betas"]):
        yield f"betas {list(planned['betas'])}, where the reference tried {list(trained['betas'])}"


def _why_not(row: Mapping[str, Any], shown: bool, narrow: bool, outside: Sequence[str]) -> str:
    if outside:
        return f"the plan lies outside what the reference tried: {'; '.join(outside)}"
    if not shown:
        return (
            "choosing by what the first steps show was not shown to cost less, on lineages left out, than one warmup "
            "for all (warmup advise --record)"
        )
    return row["note"] or ("" if narrow else "what the first steps predict has an interval that excludes no warmup")


def _would_change(reference: Reference, outside: Sequence[str]) -> Iterator[str]:
    if outside:
        yield "--confirm MINUTES sweeps your own model; or a reference at your steps, rate and optimizer (--reference)"
    else:
        count = len(reference.about["lineages"])
        yield f"--confirm MINUTES sweeps your own model; or a reference of more lineages than {count} (--reference)"


def _clipped(position: float, settings: Mapping[str, Any]) -> float:
    return float(np.clip(np.exp(position) - settings["log_offset"], 0.0, 1.0))
