"""In which unit is the need of warmup the same: share of training, steps, examples, memory of the second moment?

In: the runs table of a study whose recipes are corners (`curves.Corner`). Out: `CURVES`, a row per corner, unit and
warmup; `CHOICES`, one per corner and unit; `REGRETS`, one per scope and unit; `DIFFERENCES`, one per scope and ordered
pair of units; `ANSWERS`, one per scope. A scope is an architecture on a task, or all of them together.

Each corner in turn is left out; the others' curves in a unit choose its warmup; the score is what that warmup costs
there. It is cross-fitted in folds: fold k scores the k-th seed of a corner where the other corners' other seeds chose.
So within a fold no run both chooses and is scored, and, corners having seeds of their own, scores are independent of
each other given the choices. Limits are for these corners and new seeds: t with the paired variances of the corners
added up (Welch-Satterthwaite), as if folds told the same thing over again, which errs on the wide side. (A t interval
over the corners' scores does not hold: in flat studies it misses in 0.15, docs/LOG.md.) Everything is in margins, and
counts at most `CEILING` of them: a run that failed is bad, not infinitely bad.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import polars
from numpy.typing import NDArray

from warmup.statistics.base.blocks import block
from warmup.statistics.base.intervals import CANNOT_SAY, Floats, t_quantile
from warmup.statistics.base.outcomes import with_outcome
from warmup.statistics.effect.plateau import margin
from warmup.statistics.unit.curves import UNITS, Corner, predictor

CEILING = 5.0
"""Margins above its corner's lowest mean at which an outcome counts no worse."""
FEWEST_CORNERS = 4
"""Corners of a scope with which anything is said; with three, two are left to draw a curve from."""
RULE, RULE_CONSTANTS = "two_time_constants", 2.0
"""The untuned rule of Ma & Yarats (1910.04209): warmup over 2 / (1 - beta2) updates."""
REACH = 0.5
"""A rule is judged in a corner where a warmup tried lies within this many doublings of what it says."""
ALL = "all"
"""Stands for the architecture and the task of the scope of all of them."""
LOWEST, OTHER_SEEDS = "lowest mean", "other seeds"
"""Choices that others are held against: the warmup with the lowest mean, and that of the corner's own other seeds."""
BETTER, WORSE, OPEN = "better", "worse", "open"


@dataclass(frozen=True)
class Place:
    """Outcomes of one architecture and task in margins, `values` per corner [seeds, warmups].

    `recipes` and `corners` name the corners; every one has all `warmups` (shares of training, ascending).
    """

    architecture: str
    task: str
    recipes: tuple[str, ...]
    corners: tuple[Corner, ...]
    warmups: tuple[float, ...]
    values: tuple[Floats, ...]

    @property
    def key(self) -> dict[str, str]:
        """Table cells that name this place."""
        return {"architecture": self.architecture, "task": self.task}

    def chosen(self, held_out: int, unit: str) -> NDArray[np.int64]:
        """Index of the warmup [folds] at which the other corners' common curve is lowest, fold k without their k-th
        seeds.
        """
        matrix = predictor(self.corners, self.warmups, held_out, unit)
        others = [values for index, values in enumerate(self.values) if index != held_out]
        found = []
        for fold in range(len(self.values[held_out])):
            means = [values[np.arange(len(values)) != fold].mean(axis=0) for values in others]
            found.append(int((matrix @ np.concatenate(means)).argmin()))
        return np.array(found, dtype=np.int64)

    def by_rule(self, held_out: int) -> int | None:
        """Index of the warmup nearest to the untuned rule's; None where none lies near."""
        corner = self.corners[held_out]
        share = RULE_CONSTANTS / corner.scale("time_constants")
        distances = [abs(np.log2(warmup / share)) if warmup > 0 else np.inf for warmup in self.warmups]
        nearest = int(np.argmin(distances))
        return nearest if distances[nearest] <= REACH else None


@dataclass(frozen=True)
class Scored:
    """A corner with `values` [seeds, warmups] and who chose what there: `arms` [folds], one fold a seed, by name."""

    values: Floats
    arms: Mapping[str, NDArray[np.int64]]

    def contrast(self, first: str, second: str) -> tuple[float, float, int]:
        """Mean over folds of what the first's choices cost over the second's, its squared error, degrees of freedom.

        The squared error is that of a single seed: folds may have all of their noise in common.
        """
        folds = np.arange(len(self.values))
        one, other = self.arms[first], self.arms[second]
        squares = (self.values[:, one] - self.values[:, other]).var(axis=0, ddof=1)  # [folds]
        difference = float((self.values[folds, one] - self.values[folds, other]).mean())
        return difference, float(squares.mean()), len(folds) - 1


def unit_tables(
    runs: polars.DataFrame, corners: Mapping[str, Mapping[str, Sequence[float]]], settings: Mapping[str, Any]
) -> dict[str, polars.DataFrame]:
    """The tables `unit_curves`, `unit_choices`, `unit_regrets`, `unit_differences`, `unit_answers`.

    `corners`: recipe -> task -> (steps, batch size, beta2); `settings`: outcome, confidence, margins,
    equivalence_margins.
    """
    table = with_outcome(runs, settings["outcome"])
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMAS}
    everything: list[Scored] = []
    for part in table.partition_by("architecture", "task", maintain_order=True):
        found = place(part, corners, settings)
        if isinstance(found, str):
            key = {name: part[name][0] for name in ("architecture", "task")}
            note = f"{CANNOT_SAY}: {found}"
            rows["answers"].append(key | {"n": 0, "excluded": [], "verdict": CANNOT_SAY, "note": note})
            continue
        rows["curves"] += _curves(found)
        choices, scores = _corners(found)
        rows["choices"] += choices
        everything += scores
        _scope(found.key, scores, settings["confidence"], rows)
    if everything:
        _scope({"architecture": ALL, "task": ALL}, everything, settings["confidence"], rows)
    return {f"unit_{name}": polars.DataFrame(rows[name], schema=schema) for name, schema in SCHEMAS.items()}


def place(
    part: polars.DataFrame, corners: Mapping[str, Mapping[str, Sequence[float]]], settings: Mapping[str, Any]
) -> Place | str:
    """The runs of one architecture and task (with a column `outcome`), or why they say nothing."""
    task = part["task"][0]
    warmups = tuple(sorted(set(part["warmup"])))
    recipes, found, seeds, values = [], [], [], []
    for recipe in part["recipe"].unique(maintain_order=True):
        whole = block(part.filter(recipe=recipe), ["warmup"], warmups)
        complete = np.isfinite(whole.values).all(axis=1)
        if complete.sum() < 2:
            return f"fewer than two seeds have every warmup with {recipe}"
        outcomes = whole.values[complete]
        lowest = float(outcomes.mean(axis=0).min())
        steps, batch_size, beta2 = corners[recipe][task]
        recipes.append(recipe)
        found.append(Corner(int(steps), int(batch_size), float(beta2)))
        seeds.append(whole.seeds[complete])
        values.append(np.minimum((outcomes - lowest) / margin(settings, task, lowest), CEILING))
    if len(warmups) < 3:
        return "fewer than three warmups"
    if len(found) < FEWEST_CORNERS:
        return f"fewer than {FEWEST_CORNERS} corners (recipes that differ in steps, batch or beta2)"
    if len(set(np.concatenate(seeds).tolist())) < sum(map(len, seeds)):
        return "corners share seeds; give each recipe a first_seed of its own"
    if any(len({corner.scale(unit) for corner in found}) == 1 for unit in UNITS if any(UNITS[unit])):
        return "its recipes do not differ in steps, batch and beta2"
    return Place(part["architecture"][0], task, *(tuple(x) for x in (recipes, found, warmups, values)))


def _curves(one: Place) -> list[dict[str, Any]]:
    """Rows of CURVES."""
    return [
        one.key
        | {"recipe": recipe, "unit": unit, "warmup": warmup}
        | {"amount": warmup * corner.scale(unit), "excess": float(excess)}
        for recipe, corner, values in zip(one.recipes, one.corners, one.values, strict=True)
        for unit in UNITS
        for warmup, excess in zip(one.warmups, values.mean(axis=0) - values.mean(axis=0).min(), strict=True)
    ]


def _corners(one: Place) -> tuple[list[dict[str, Any]], list[Scored]]:
    """Rows of CHOICES; every corner with the choices of units, of the rule where it can be judged, of its own seeds."""
    rows, scored = [], []
    for index, (corner, values) in enumerate(zip(one.corners, one.values, strict=True)):
        at = {unit: one.chosen(index, unit) for unit in UNITS}
        rule = one.by_rule(index)
        if rule is not None:
            at[RULE] = np.full(len(values), rule)
        lowest = np.full(len(values), values.mean(axis=0).argmin())
        others = (values.sum(axis=0)[None] - values).argmin(axis=1)
        here = Scored(values, {**at, LOWEST: lowest, OTHER_SEEDS: others})
        scored.append(here)
        rows += [
            one.key
            | {"recipe": one.recipes[index], "steps": corner.steps, "batch_size": corner.batch_size}
            | {"beta2": corner.beta2, "unit": name, "warmups": [one.warmups[arm] for arm in arms]}
            | {"regret": here.contrast(name, LOWEST)[0]}
            for name, arms in at.items()
        ]
    return rows, scored


def _scope(
    key: Mapping[str, Any],
    corners: Sequence[Scored],
    confidence: float,
    rows: Mapping[str, list[dict[str, Any]]],
) -> None:
    """Appends a scope's regrets, differences and answer to `rows`."""
    pairs = {pair: [corner.contrast(*pair) for corner in corners] for pair in permutations(UNITS, 2)}
    limits = {pair: mean_limits(parts, confidence) for pair, parts in pairs.items()}
    for (unit, other), (difference, low, high) in limits.items():
        verdict = BETTER if high < 0 else WORSE if low > 0 else OPEN
        line = {"unit": unit, "other": other, "n": len(corners), "difference": difference, "low": low, "high": high}
        rows["differences"].append(dict(key) | line | {"verdict": verdict})
    excluded = [unit for unit in UNITS if any(limits[unit, other][1] > 0 for other in UNITS if other != unit)]
    named = [unit for unit in UNITS if all(limits[unit, other][2] < 0 for other in UNITS if other != unit)]
    for name in (*UNITS, RULE):
        known = [corner for corner in corners if name in corner.arms]
        row = dict(key) | {"unit": name, "n": len(known), "excluded": name in excluded if name in UNITS else None}
        if known:
            regret, _, high = mean_limits([corner.contrast(name, LOWEST) for corner in known], confidence)
            _, low, _ = mean_limits([corner.contrast(name, OTHER_SEEDS) for corner in known], confidence)
            row |= {"regret": regret, "regret_low": min(max(low, 0.0), regret), "regret_high": high}
        rows["regrets"].append(row)
    together = 1.0 - (1.0 - confidence) / (len(pairs) / 2)  # a pair and its reverse share one interval
    at_stake = max(mean_limits(parts, together)[2] for parts in pairs.values())
    note = "" if named else f"{CANNOT_SAY}: no unit is shown to cost less than all others"
    answer = dict(key) | {"n": len(corners), "unit": named[0] if named else None, "excluded": excluded}
    verdict = "ok" if named else CANNOT_SAY
    rows["answers"].append(answer | {"at_stake_high": at_stake, "verdict": verdict, "note": note})


def mean_limits(parts: Sequence[tuple[float, float, int]], confidence: float) -> tuple[float, float, float]:
    """Mean of independent estimates with t limits; each part: estimate, its squared error, degrees of freedom."""
    estimates, squares, freedoms = np.array(parts).T
    estimate, total = float(estimates.mean()), float(squares.sum())
    if total == 0.0:  # the same choices everywhere
        return estimate, estimate, estimate
    freedom = total**2 / float((squares**2 / freedoms).sum())
    half = t_quantile(0.5 + confidence / 2.0, freedom) * total**0.5 / len(parts)
    return estimate, estimate - half, estimate + half


_SCOPE: dict[str, Any] = {"architecture": polars.String, "task": polars.String}
CURVES: dict[str, Any] = {
    **_SCOPE,
    **dict.fromkeys(("recipe", "unit"), polars.String),
    **dict.fromkeys(("warmup", "amount", "excess"), polars.Float64),
}
"""Columns: `amount`: the warmup in the unit; `excess`: mean outcome above the corner's lowest, in margins."""
CHOICES: dict[str, Any] = {
    **_SCOPE,
    "recipe": polars.String,
    "steps": polars.Int64,
    "batch_size": polars.Int64,
    "beta2": polars.Float64,
    "unit": polars.String,
    "warmups": polars.List(polars.Float64),
    "regret": polars.Float64,
}
"""Columns: the corner left out; `warmups`: what the other corners chose for it in that unit, by seed scored; `regret`:
what that costs over the corner's lowest mean, in margins."""
REGRETS: dict[str, Any] = {
    **_SCOPE,
    "unit": polars.String,
    "n": polars.Int64,
    **dict.fromkeys(("regret", "regret_low", "regret_high"), polars.Float64),
    "excluded": polars.Boolean,
}
"""Columns: means over `n` corners, in margins. The lower limit goes by the warmup that the corner's other seeds choose,
the upper one by the lowest mean; `excluded`: another unit is shown to cost less (null for the rule)."""
DIFFERENCES: dict[str, Any] = {
    **_SCOPE,
    **dict.fromkeys(("unit", "other"), polars.String),
    "n": polars.Int64,
    **dict.fromkeys(("difference", "low", "high"), polars.Float64),
    "verdict": polars.String,
}
"""Columns: what the unit's choices cost less what the other's do, in margins; better | worse | open, pair by pair."""
ANSWERS: dict[str, Any] = {
    **_SCOPE,
    "n": polars.Int64,
    "unit": polars.String,
    "excluded": polars.List(polars.String),
    "at_stake_high": polars.Float64,
    **dict.fromkeys(("verdict", "note"), polars.String),
}
"""Columns: `unit`: the one shown to cost less than every other, else null; `excluded`: those shown to cost more than
another; `at_stake_high`: margins by which the worst of them exceeds the best at most (all pairs together)."""
SCHEMAS = {
    "curves": CURVES,
    "choices": CHOICES,
    "regrets": REGRETS,
    "differences": DIFFERENCES,
    "answers": ANSWERS,
}
"""Columns of every table, by its name without `unit_`."""
