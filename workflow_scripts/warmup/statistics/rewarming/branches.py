"""Does a run that goes on from another one need another warmup? By what it kept of its optimiser, and by its data.

In: the runs table, and of each recipe that continues another one what it takes over. Out: `rewarming`, one row per
contrast, all paired by seed, in the outcome's unit (losses, so negative is better). Within an architecture and task, by
kind:

  rewarm     with another warmup - without                      helps | harms | no matter
  loss       without all of the optimiser's state - with it     costs | gains | no matter    (no other warmup in both)
  recovered  without all of it, but with another warmup         made up for | not made up for
             - with it and without another warmup

"No matter": the difference lies within the practical margin on both sides, whether or not it leaves out zero; "made up
for": it costs less than the margin. Errors are those of all comparisons (pairing.py): a cell's own scale, its shape
shrunk towards the cells of its task. Limits of the rows of one kind hold together (Bonferroni); a verdict is what they
allow.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import polars

from warmup.statistics.base.blocks import Block, block
from warmup.statistics.base.intervals import CANNOT_SAY
from warmup.statistics.base.outcomes import with_outcome
from warmup.statistics.base.pairing import PairedErrors, paired_errors
from warmup.statistics.effect.plateau import margin

PLACE = ("architecture", "task")
ARM = ("recipe", "warmup")
KEPT = "kept"
Arm = tuple[str, float]
Branches = Mapping[str, Mapping[str, Any]]


def rewarming(runs: polars.DataFrame, branches: Branches, settings: Mapping[str, Any]) -> polars.DataFrame:
    """The table of contrasts (REWARMING).

    branches: recipes that continue another one, in the order of the configuration, each with `recipe`, `warmup` and
    `task` of its trunk (null: the branch's own task) and `optimizer`, what is kept. settings: the section `statistics`.
    """
    table = with_outcome(runs.filter(polars.col("recipe").is_in(list(branches))), settings["outcome"])
    parts = table.partition_by(list(PLACE), maintain_order=True)
    order = list(branches)
    arms = sorted(set(table.select(ARM).iter_rows()), key=lambda arm: (order.index(arm[0]), arm[1]))
    blocks = [_block(part, arms) for part in parts]
    rows: list[dict[str, Any]] = []
    for here, part in zip(blocks, parts, strict=True):
        place = {name: part[name][0] for name in PLACE}
        same = [other for other, there in zip(blocks, parts, strict=True) if there["task"][0] == place["task"]]
        errors = paired_errors(here, same)
        allowed = margin(settings, place["task"], float(np.nanmin(np.nanmean(here.values, axis=0))))
        for kind in JUDGES:
            pairs = list(_pairs(kind, here, branches))
            level = 1.0 - (1.0 - settings["confidence"]) / max(len(pairs), 1)
            for pair in pairs:
                named = {"kind": kind, "margin": allowed, **_named(pair, branches, place["task"])}
                rows.append(place | named | _judged(here, errors, pair, level, named))
    return polars.DataFrame([{name: row.get(name) for name in REWARMING} for row in rows], schema=REWARMING)


def _block(part: polars.DataFrame, arms: list[Arm]) -> Block:
    """The arms of an architecture and task, in the order of the study's."""
    present = set(part.select(ARM).iter_rows())
    return block(part, ARM, [arm for arm in arms if arm in present])


def _pairs(kind: str, here: Block, branches: Branches) -> Iterator[tuple[Arm, Arm]]:
    """(arm, the one it is compared with) of all contrasts of a kind."""
    for recipe, warmup in here.arms:
        whole = _with_everything(recipe, branches)
        if kind == "rewarm":
            against = (recipe, 0.0) if warmup > 0 else None
        else:
            lost = whole is not None and (warmup > 0) == (kind == "recovered")
            against = (str(whole), 0.0) if lost else None
        if against in here.arms and against is not None:
            yield (recipe, warmup), against


def _with_everything(recipe: str, branches: Branches) -> str | None:
    """Of a branch that lost something the one of the same trunk that kept all; None of such a one itself."""
    if branches[recipe]["optimizer"] == KEPT:
        return None
    trunk = {key: value for key, value in branches[recipe].items() if key != "optimizer"}
    return next((name for name, other in branches.items() if other == trunk | {"optimizer": KEPT}), None)


def _named(pair: tuple[Arm, Arm], branches: Branches, task: str) -> dict[str, Any]:
    (recipe, warmup), (against, _) = pair
    trunk = branches[recipe]["task"] or task
    return {
        **{"recipe": recipe, "warmup": warmup, "against": against, "optimizer": branches[recipe]["optimizer"]},
        **{"trunk_task": trunk, "shifted": trunk != task},
    }


def _judged(
    here: Block, errors: PairedErrors, pair: tuple[Arm, Arm], level: float, row: Mapping[str, Any]
) -> dict[str, Any]:
    """The mean difference with its limits, and what they allow to say."""
    if not errors.known:
        return {"n": errors.seeds, "verdict": CANNOT_SAY, "note": f"{CANNOT_SAY}: {errors.note}"}
    index, other = (here.arms.index(arm) for arm in pair)
    difference = float((here.complete[:, index] - here.complete[:, other]).mean())
    reach = float(errors.reach(level)[index, other])
    low, high = difference - reach, difference + reach
    verdict = JUDGES[row["kind"]](low, high, row["margin"])
    note = "" if verdict != CANNOT_SAY else "the limits allow either"
    return {"n": errors.seeds, "difference": difference, "low": low, "high": high, "verdict": verdict, "note": note}


def _signed(below: str, above: str) -> Callable[[float, float, float], str]:
    def judge(low: float, high: float, allowed: float) -> str:
        if -allowed < low and high < allowed:
            return "no matter"
        return below if high < 0 else above if low > 0 else CANNOT_SAY

    return judge


def _made_up_for(low: float, high: float, allowed: float) -> str:
    return "made up for" if high < allowed else "not made up for" if low > 0 else CANNOT_SAY


JUDGES: dict[str, Callable[[float, float, float], str]] = {
    "rewarm": _signed("helps", "harms"),
    "loss": _signed("gains", "costs"),
    "recovered": _made_up_for,
}
"""(lower limit, upper limit, margin) -> verdict, of each kind."""

REWARMING: dict[str, Any] = {
    **dict.fromkeys((*PLACE, "kind", "recipe"), polars.String),
    "warmup": polars.Float64,
    **dict.fromkeys(("against", "optimizer", "trunk_task"), polars.String),
    "shifted": polars.Boolean,
    "n": polars.Int64,
    **dict.fromkeys(("difference", "low", "high", "margin"), polars.Float64),
    **dict.fromkeys(("verdict", "note"), polars.String),
}
"""Columns of the table; `against`: the recipe, at warmup 0, that the row's is compared with."""
