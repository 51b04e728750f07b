"""From a reference and a model's diagnostics to advice: a warmup, how sure, on what record; or the word "cannot say".

In: a `Reference`, diagnostics of the model, what is planned. Out: builtins (answers.schema.yaml) and lines.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars

from warmup.advice.reference import Reference
from warmup.statistics.base.intervals import CANNOT_SAY
from warmup.statistics.prediction import prediction

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
    (row,) = prediction.predict(**reference.tables, probes=probes, settings=settings)
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
    shown = row["diagnostic"] != "best_constant" and _better_than_constant(board, row["record"]["predictor"])
    narrow = row["low"] is not None and not (row["low"] <= 0 and row["high"] >= 1)
    said = shown and narrow and not outside
    chosen = row["predicted"] if said else constant
    predictor = row["record"]["predictor"] if said else "best_constant"
    interval = prediction.jackknife(
        math.log(chosen + settings["log_offset"]), row["task"], _scores(reference, predictor, row), row["level"]
    )
    limits = [None if end is None else _clipped(end, settings) for end in interval[:2]]
    if said and predictor == row["record"]["predictor"]:
        limits = [row["low"], row["high"]]
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
            "coverage": coverage(_scores(reference, predictor, row), row["level"]),
        },
        "diagnostic": row["diagnostic"] if said else "best_constant",
        "budget": row["budget"] if said else 0,
        "value": row["value"] if said else None,
        "record": _record(board, predictor, _scores(reference, predictor, row)),
        "alternatives": row["alternatives"],
    }


def coverage(scores: polars.DataFrame, level: float) -> float | None:
    """Share of held-out cells that the interval made of the other lineages' errors would have covered."""
    hits = []
    for lineage in scores["lineage"].unique():
        own, others = scores.filter(lineage=lineage), scores.filter(polars.col("lineage") != lineage)
        for task, error in own.select("task", "error").iter_rows():
            low, high, *_ = prediction.jackknife(0.0, task, others, level)
            if low is not None and high is not None:
                hits.append(error <= high + 1e-9)
    return float(np.mean(hits)) if hits else None


def lines(advice: Mapping[str, Any], name: str) -> Iterator[str]:
    """The advice as text."""
    warmup, record = advice["warmup"], advice["record"]
    if warmup is None:
        yield f"{name}: cannot say: {advice['note']}"
        return
    tokens = "" if warmup["tokens"] is None else f", {warmup['tokens']:,} tokens"
    amount = f"{warmup['steps']} of {advice['steps']} steps ({_percent(warmup['fraction'])}{tokens})"
    if advice["verdict"] == "predicted":
        yield f"{name}: warm up over {amount}"
        yield f"  read off {advice['diagnostic'].replace('_', ' ')} after {advice['budget']} steps without warmup"
    else:
        yield f"{name}: cannot say how much this model needs: {advice['note']}"
        yield f"  take {amount}, the warmup that cost least over all lineages of the reference"
    if warmup["low"] is None:
        yield f"  no interval: {len(advice['reference']['lineages'])} lineages are too few for {warmup['level']:.0%}"
    else:
        held = "" if warmup["coverage"] is None else f" (held for {warmup['coverage']:.0%} of cells left out)"
        yield (
            f"  the best warmup of {warmup['level']:.0%} of models like those lies between "
            f"{_percent(warmup['low'])} and {_percent(warmup['high'])}{held}"
        )
    if record is not None:
        yield (
            f"  choosing so cost {_percent(record['regret'])} of the loss on lineages left out, at most "
            f"{_percent(record['worst'])}; seed noise alone would show {_percent(record['noise'])}"
        )
    known = advice["reference"]
    yield (
        f"  reference: {known['runs']} runs of {len(known['lineages'])} lineages, scale {known['scale']}, "
        f"{_listed(known['steps'])} steps, {known['seeds']} seeds"
    )
    yield from (f"  what would change this: {one}" for one in advice["would_change_it"])


def _better_than_constant(board: polars.DataFrame, predictor: str) -> bool:
    """Whether a new lineage, too, would be served better than by one warmup for all (upper t limit below zero)."""
    row = board.filter(axis="architecture", predictor=predictor).row(0, named=True)
    limit = row["versus_constant_new_high"]
    return limit is not None and limit < 0


def _constant(row: Mapping[str, Any]) -> float | None:
    if row.get("diagnostic") == "best_constant":
        return float(row["predicted"])
    known = [other["predicted"] for other in row.get("alternatives", []) if other["diagnostic"] == "best_constant"]
    return float(known[0]) if known else None


def _scores(reference: Reference, predictor: str, row: Mapping[str, Any]) -> polars.DataFrame:
    return reference.tables["held_out"].filter(axis="architecture", predictor=predictor, recipe=row["recipe"])


def _record(board: polars.DataFrame, predictor: str, scores: polars.DataFrame) -> dict[str, Any] | None:
    if scores.is_empty():
        return None
    row = board.filter(axis="architecture", predictor=predictor).row(0, named=True)
    worst = scores.group_by("lineage").agg(polars.col("regret").mean())["regret"].max()
    return {
        "predictor": predictor,
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
            yield f"{word} {planned[name]:g}, where the reference tried {_listed(tried)}"
    trained = known["recipes"][recipe]
    if planned["optimizer"].lower() != trained["optimizer"]:
        yield f"optimizer {planned['optimizer']}, where the reference tried {trained['optimizer']}"
    elif list(planned["betas"]) != list(trained["betas"]):
        yield f"betas {list(planned['betas'])}, where the reference tried {list(trained['betas'])}"


def _why_not(row: Mapping[str, Any], shown: bool, narrow: bool, outside: Sequence[str]) -> str:
    if outside:
        return f"the plan lies outside the reference: {'; '.join(outside)}"
    if not shown:
        return "no diagnostic was shown to choose better than one warmup for all, on lineages left out"
    return row["note"] or ("" if narrow else "the interval of what a diagnostic predicts excludes nothing")


def _would_change(reference: Reference, outside: Sequence[str]) -> Iterator[str]:
    if outside:
        yield "a reference at your steps, rate and optimizer (--reference), or --confirm MINUTES on your own model"
    else:
        count = len(reference.about["lineages"])
        yield f"more lineages than {count} in the reference (--reference), or --confirm MINUTES on your own model"


def _clipped(position: float, settings: Mapping[str, Any]) -> float:
    return float(np.clip(np.exp(position) - settings["log_offset"], 0.0, 1.0))


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.3g} %"


def _listed(values: Sequence[float]) -> str:
    return " and ".join(f"{value:g}" for value in values)
