"""How choosing a warmup did on lineages left out: what each rule cost, and how often its interval held.

In: a `Reference`. Out: builtins (answers.schema.yaml) and lines, as `warmup advise --record` prints them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import polars

from warmup.advice.reference import Reference
from warmup.advice.words import listed, percent, rests_on
from warmup.statistics.prediction.prediction import AXIS
from warmup.statistics.prediction.predictors import BEST_CONSTANT, SELECTED, Predictor

WORDS = {
    BEST_CONSTANT.name: "one warmup for all",
    SELECTED.name: "whichever did best on the others",
}


def rules(reference: Reference) -> list[dict[str, Any]]:
    """One entry per rule that advice may rest on: one warmup for all, the choice among rules, then each diagnostic.

    Costs are shares of the loss above the best warmup tried; limits are for a lineage not yet seen.
    """
    board = reference.tables["leaderboard"].filter(polars.col("axis") == AXIS, polars.col("regret").is_not_null())
    same = ["predictor", "budget", "map"]
    rows = board.filter(polars.col("kind").is_in(["constant", "selected", "diagnostic"])).join(
        reference.tables["coverage"].select(same).unique(), on=same, maintain_order="left"
    )
    first = {BEST_CONSTANT.name: 0, SELECTED.name: 1}
    return [
        {
            **{name: row[name] for name in (*same, "cells")},
            "lineages": row["architectures"],
            "regret": row["regret"],
            "noise": row["noise_regret"],
            "versus_constant": row["versus_constant"],
            "versus_constant_low": row["versus_constant_new_low"],
            "versus_constant_high": row["versus_constant_new_high"],
            "coverage": held(reference, Predictor(row["predictor"], row["kind"], row["budget"], row["map"])),
        }
        for row in sorted(rows.iter_rows(named=True), key=lambda row: first.get(row["predictor"], 2))
    ]


def held(reference: Reference, rule: Predictor) -> dict[str, int] | None:
    """Of the cells left out, how many intervals held their best warmup, and how many excluded anything at all; the same
    for whole lineages. None where the lineages are too few for intervals.
    """
    tried = reference.tables["coverage"].filter(
        polars.col("held").is_not_null(), predictor=rule.name, budget=rule.budget, map=rule.map
    )
    if tried.is_empty():
        return None
    whole = tried.group_by("lineage").agg(polars.col("held").all())["held"]
    return {
        "cells": tried.height,
        "held": int(tried["held"].sum()),
        "excluding": int(tried["excludes"].sum()),
        "lineages": len(whole),
        "lineages_held": int(whole.sum()),
    }


def lines(reference: Reference) -> Iterator[str]:
    """The record as text."""
    about, settings = reference.about, reference.settings
    level, confidence = settings["interval_level"], settings["confidence"]
    yield f"How choosing a warmup did on {len(about['lineages'])} lineages, each left out in turn"
    yield f"  rests on {rests_on(about)}"
    yield "  cost: loss above that of the best warmup tried, as a share of it; noise: what seeds alone would make of it"
    yield f"  less: cost less that of one warmup for all; limits ({percent(confidence)}): for a lineage not yet seen"
    yield f"  held: cells whose best warmup lay in the {percent(level)} interval made of the other lineages alone"
    yield "  excluding: cells whose interval left out any warmup at all"
    yield ""
    yield f"{'rule':38}{'cells':>6}{'cost':>8}{'noise':>8}{'less':>9}  {'limits':20}{'held':>10}{'excluding':>11}"
    last: dict[str, Any] = {}
    for rule in rules(reference):
        if rule == last | {"budget": rule["budget"]}:
            continue  # it read nothing new in more steps
        last, less, limits = rule, "-", "-"
        if rule["versus_constant"] is not None:
            less = _signed(rule["versus_constant"])
            limits = f"{_signed(rule['versus_constant_low'])} to {_signed(rule['versus_constant_high'])}"
        tried = rule["coverage"]
        counts = ("-", "-") if tried is None else (f"{tried['held']} of {tried['cells']}", str(tried["excluding"]))
        yield (
            f"{_name(rule):38}{rule['cells']:>6}{percent(rule['regret']):>8}{percent(rule['noise']):>8}{less:>9}  "
            f"{limits:20}{counts[0]:>10}{counts[1]:>11}"
        )
    yield ""
    shown = [rule["predictor"] for rule in rules(reference) if (rule["versus_constant_high"] or 0) < 0]
    is_shown = "is" if SELECTED.name in shown else "is not"
    yield f"Advice rests on the second rule: it {is_shown} shown to cost less than one warmup for all."
    alone = [name.replace("_", " ") for name in dict.fromkeys(shown) if name != SELECTED.name]
    yield f"Shown to, each taken alone: {listed(alone) or 'none'}. With so many tried, some would be by chance."


def _name(rule: Mapping[str, Any]) -> str:
    if rule["predictor"] in WORDS:
        return WORDS[rule["predictor"]]
    steps = "1 step" if rule["budget"] == 1 else f"{rule['budget']} steps"
    when = f" after {steps}" if rule["budget"] else " (the recipe alone)"
    return rule["predictor"].replace("_", " ") + when


def _signed(share: float | None) -> str:
    return "?" if share is None else f"{100 * share + 0.0:+.2f} %"
