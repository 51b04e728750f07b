"""Whose warmup is it: what warmup gains, taken apart by role, and compared between optimisers and between networks.

In: the runs table, and of each recipe its optimiser and which roles it warms. Out: `attribution`, one row per contrast,
all paired by seed, in the outcome's unit (losses, so negative is better). Within an architecture and task, at one
warmup, by kind:

  all        all roles warmed - none           helps | harms
  alone      role r alone warmed - none        helps | harms
  enough     role r alone warmed - all         enough (costs less than the margin) | not enough
  without    all but role r warmed - all       needed | not needed (costs less than the margin) | better left out

and what warmup gains (outcome with - outcome without) here less what it gains there:

  optimizer  with this recipe - the first      gains less | gains more
  network    in a variant - in its lineage     gains less | gains more

None is a recipe that warms no role at this warmup, whose rate stands at the peak while the others rise; `optimizer`
compares with runs of warmup 0. Limits of the rows of one kind hold together (Bonferroni); a verdict is what they allow.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import polars

from warmup.statistics.base.blocks import Block, block
from warmup.statistics.base.intervals import CANNOT_SAY, Floats, t_quantile
from warmup.statistics.base.outcomes import with_outcome
from warmup.statistics.effect.plateau import margin

PLACE = ("architecture", "task")
ARM = ("recipe", "warmup")
Arm = tuple[str, float]
Recipes = Mapping[str, Mapping[str, Any]]
Verdict = Callable[[float, float, float], str]


def attribution(
    runs: polars.DataFrame, recipes: Recipes, lineages: Mapping[str, str], settings: Mapping[str, Any]
) -> polars.DataFrame:
    """The table of contrasts (ATTRIBUTION).

    recipes: in the order of the configuration, each with `optimizer`, `warmup_roles` (null: all) and `warmup_excludes`;
    the first warms all. lineages: the architecture that each is a variant of. settings: the section `statistics`.
    """
    table = with_outcome(runs, settings["outcome"])
    parts = {
        (str(part["architecture"][0]), str(part["task"][0])): part
        for part in table.partition_by(list(PLACE), maintain_order=True)
    }
    rows: list[dict[str, Any]] = []
    for (architecture, task), part in parts.items():
        here = block(part, ARM)
        place = {"architecture": architecture, "task": task}
        for warmup in sorted({warmup for _, warmup in here.arms if warmup > 0}):
            groups = [*_of_roles(here, recipes, warmup), _of_optimizers(here, recipes, warmup)]
            origin = parts.get((lineages[architecture], task))
            if origin is not None and lineages[architecture] != architecture:
                groups.append([_of_network(here, block(origin, ARM), recipes, warmup, lineages[architecture])])
            best = min(np.nanmean(here.values[:, index]) for index in range(len(here.arms)))
            allowed = margin(settings, task, float(best))
            for group in groups:
                judged = (_judged(row, len(group), allowed, settings["confidence"]) for row in group)
                rows += [place | {"warmup": warmup} | row for row in judged]
    return polars.DataFrame([{name: row.get(name) for name in ATTRIBUTION} for row in rows], schema=ATTRIBUTION)


def _of_roles(here: Block, recipes: Recipes, warmup: float) -> Iterator[list[dict[str, Any]]]:
    """Contrasts of one kind at a time, between recipes that warm different roles."""
    first = next(iter(recipes))
    everything, nothing = (
        (first, warmup),
        next((arm for arm in here.arms if arm[1] == warmup and _none(recipes, arm)), None),
    )
    if everything not in here.arms or nothing is None:
        return
    yield [_contrast("all", here, everything, nothing, _signed("helps", "harms"))]
    alone = {arm: recipes[arm[0]]["warmup_roles"] for arm in here.arms if arm[1] == warmup}
    without = {arm: recipes[arm[0]]["warmup_excludes"] for arm in here.arms if arm[1] == warmup}
    for kind, roles, reference, verdict in (
        ("alone", alone, nothing, _signed("helps", "harms")),
        ("enough", alone, everything, _within("enough", "not enough")),
        ("without", without, everything, _left_out),
    ):
        yield [
            _contrast(kind, here, arm, reference, verdict) | {"role": ", ".join(named)}
            for arm, named in roles.items()
            if named
        ]


def _of_optimizers(here: Block, recipes: Recipes, warmup: float) -> list[dict[str, Any]]:
    """What warmup gains with each other recipe that warms all, less what it gains with the first."""
    names = [name for name in recipes if {(name, warmup), (name, 0.0)} <= set(here.arms) and _all(recipes, name)]
    first = next(iter(recipes))
    if first not in names:
        return []
    base = _gain(here, (first, warmup), (first, 0.0))
    return [
        _row(
            "optimizer",
            _gain(here, (name, warmup), (name, 0.0)) - base,
            _signed("gains more", "gains less"),
        )
        | {"recipe": name, "against": first}
        for name in names
        if name != first
    ]


def _of_network(here: Block, origin: Block, recipes: Recipes, warmup: float, name: str) -> dict[str, Any]:
    """What warmup gains in a changed network, less what it gains in the one it is a variant of."""
    gains = []
    first = next(iter(recipes))
    for table in (here, origin):
        bare = [arm for arm in table.arms if arm[1] == warmup and _none(recipes, arm)] or [(first, 0.0)]
        if not {(first, warmup), bare[0]} <= set(table.arms):
            return {"kind": "network", "against": name, "note": f"{CANNOT_SAY}: an arm was not run"}
        gains.append(dict(zip(table.seeds.tolist(), _gain(table, (first, warmup), bare[0]), strict=True)))
    seeds = [seed for seed in gains[0] if seed in gains[1]]
    differences = np.array([gains[0][seed] - gains[1][seed] for seed in seeds])
    row = _row("network", differences, _signed("gains more", "gains less"))
    return row | {"recipe": first, "against": name}


def _gain(table: Block, warmed: Arm, bare: Arm) -> Floats:
    return table.values[:, table.arms.index(warmed)] - table.values[:, table.arms.index(bare)]


def _contrast(kind: str, here: Block, arm: Arm, reference: Arm, verdict: Verdict) -> dict[str, Any]:
    return _row(kind, _gain(here, arm, reference), verdict) | {"recipe": arm[0], "against": reference[0]}


def _row(kind: str, differences: Floats, verdict: Verdict) -> dict[str, Any]:
    known = differences[np.isfinite(differences)]
    return {"kind": kind, "n": len(known), "differences": known, "judge": verdict}


def _judged(row: dict[str, Any], together: int, allowed: float, confidence: float) -> dict[str, Any]:
    """The row with its mean, limits that hold for `together` rows at once, and what they allow to say."""
    row = {"verdict": CANNOT_SAY, "margin": allowed, **row}
    values = row.pop("differences", np.array([]))
    judge = row.pop("judge", None)
    if len(values):
        row["difference"] = float(values.mean())
    if judge is None or row.get("note"):
        return row
    if len(values) < 2 or values.std(ddof=1) == 0:
        why = "one seed has no spread" if len(values) == 1 else "the difference does not vary between seeds"
        return row | {"note": f"{CANNOT_SAY}: {why if len(values) else 'no seed has both arms'}"}
    error = float(values.std(ddof=1)) / len(values) ** 0.5
    reach = t_quantile(1.0 - (1.0 - confidence) / (2.0 * together), len(values) - 1) * error
    low, high = row["difference"] - reach, row["difference"] + reach
    said = judge(low, high, allowed)
    note = "" if said != CANNOT_SAY else "the limits allow either"
    return row | {"low": low, "high": high, "verdict": said, "note": note}


def _signed(below: str, above: str) -> Verdict:
    return lambda low, high, _: below if high < 0 else above if low > 0 else CANNOT_SAY


def _within(small: str, large: str) -> Verdict:
    return lambda low, high, allowed: small if high < allowed else large if low > 0 else CANNOT_SAY


def _left_out(low: float, high: float, allowed: float) -> str:
    return "better left out" if high < 0 else _within("not needed", "needed")(low, high, allowed)


def _none(recipes: Recipes, arm: Arm) -> bool:
    return recipes[arm[0]]["warmup_roles"] == []


def _all(recipes: Recipes, name: str) -> bool:
    return recipes[name]["warmup_roles"] is None and not recipes[name]["warmup_excludes"]


ATTRIBUTION: dict[str, Any] = {
    **dict.fromkeys(PLACE, polars.String),
    "warmup": polars.Float64,
    **dict.fromkeys(("kind", "role", "recipe", "against"), polars.String),
    "n": polars.Int64,
    **dict.fromkeys(("difference", "low", "high", "margin"), polars.Float64),
    **dict.fromkeys(("verdict", "note"), polars.String),
}
"""Columns of the table; `against`: the recipe, or the architecture, that the row's is compared with."""
