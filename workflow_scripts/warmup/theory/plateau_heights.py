"""Real trainings: is a lower loss reached, after the same decay, from a higher plateau?

What the model of [S2] suggests is a sign, not a number: somewhere a hotter plateau may leave less behind than a cooler
one. So all pairs of heights are compared, paired by seed, within each (architecture, task, warmup, decay), with limits
that hold for all pairs of that group together; nothing is taken from the model's landscapes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars

from warmup.statistics.base.blocks import Block, block
from warmup.statistics.base.intervals import CANNOT_SAY, paired_t
from warmup.statistics.base.outcomes import with_outcome
from warmup.statistics.base.pairing import paired_errors
from warmup.theory.heights import families

GROUP = ("architecture", "task", "warmup", "decay")


@dataclass(frozen=True)
class Group:
    """Runs of one (architecture, task, warmup, decay): a `block` whose arms are plateau heights, ascending."""

    architecture: str
    task: str
    warmup: float
    decay: str
    block: Block

    @property
    def head(self) -> dict[str, Any]:
        """Table cells that name this group."""
        return {name: getattr(self, name) for name in GROUP}


def compare(runs: polars.DataFrame, settings: Mapping[str, Any]) -> tuple[polars.DataFrame, polars.DataFrame]:
    """Arms (one row per group and height) and differences (one row per group and pair of heights).

    `runs` is the runs table; `settings` has recipes, outcome, confidence. A difference is hotter less
    cooler, so below zero the hotter plateau is better; `verdict`: hotter lower | hotter higher | no difference shown |
    cannot say. A diverged run counts as min(loss, loss at initialisation).
    """
    table = with_outcome(runs, settings["outcome"])
    found = families(settings["recipes"], table["recipe"].unique(maintain_order=True))
    groups = [group for family in found for group in _groups(table, family, settings["recipes"])]
    arms = [row for group in groups for row in _arms(group, settings["confidence"])]
    differences = [row for group in groups for row in _differences(group, groups, settings)]
    return polars.DataFrame(arms, schema=ARMS), polars.DataFrame(differences, schema=DIFFERENCES)


def _groups(table: polars.DataFrame, family: Mapping[float, str], recipes: Mapping[str, Any]) -> list[Group]:
    heights = {name: height for height, name in family.items()}
    options = recipes[next(iter(heights))].get("schedule_options") or {}
    decay = f"{options.get('tail', '1-sqrt')} over {options.get('decay_fraction', 0.2):g}"
    here = table.filter(polars.col("recipe").is_in(list(heights))).with_columns(
        height=polars.col("recipe").replace_strict(heights, default=None, return_dtype=polars.Float64)
    )
    return [
        Group(architecture, task, warmup, decay, block(part, ["height"], sorted(family)))
        for (architecture, task, warmup), part in here.group_by(GROUP[:3], maintain_order=True)
    ]


def _arms(group: Group, confidence: float) -> list[dict[str, Any]]:
    rows = []
    for height, values, diverged in zip(group.block.arms, group.block.values.T, group.block.diverged.T, strict=True):
        sample = values[np.isfinite(values)]
        mean = paired_t(sample, confidence)
        rows.append(
            group.head
            | {"height": height, "n": len(sample), "diverged": int(diverged.sum())}
            | mean.columns("mean")
            | {"values": sample.tolist(), "note": mean.note}
        )
    return rows


def _differences(group: Group, groups: list[Group], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    alike = [other.block for other in groups if all(other.head[name] == group.head[name] for name in GROUP[1:])]
    errors = paired_errors(group.block, alike)
    complete, heights = group.block.complete, group.block.arms
    reaches = errors.simultaneous_reach(settings["confidence"]) if errors.known else None
    rows = []
    for cool, hot in combinations(range(len(heights)), 2):
        head = group.head | {
            "cooler": heights[cool],
            "hotter": heights[hot],
            "n": len(complete),
            "confidence": settings["confidence"],
            "method": errors.method,
        }
        if reaches is None:
            rows.append(head | {"verdict": CANNOT_SAY, "note": errors.note})
            continue
        means = complete.mean(axis=0)
        estimate, reach = float(means[hot] - means[cool]), float(reaches[hot, cool])
        low, high = estimate - reach, estimate + reach
        verdict = "hotter lower" if high < 0 else "hotter higher" if low > 0 else "no difference shown"
        rows.append(
            head
            | {"difference": estimate, "difference_low": low, "difference_high": high, "verdict": verdict, "note": ""}
        )
    return rows


TEXT, NUMBER, COUNT = polars.String(), polars.Float64(), polars.Int64()

HEAD: dict[str, polars.DataType] = {"architecture": TEXT, "task": TEXT, "warmup": NUMBER, "decay": TEXT}

ARMS: dict[str, polars.DataType] = {
    **HEAD,
    "height": NUMBER,
    **dict.fromkeys(("n", "diverged"), COUNT),
    **dict.fromkeys(("mean", "mean_low", "mean_high"), NUMBER),
    "values": polars.List(NUMBER),
    "note": TEXT,
}

DIFFERENCES: dict[str, polars.DataType] = {
    **HEAD,
    **dict.fromkeys(("cooler", "hotter"), NUMBER),
    "n": COUNT,
    "confidence": NUMBER,
    "method": TEXT,
    **dict.fromkeys(("difference", "difference_low", "difference_high"), NUMBER),
    **dict.fromkeys(("verdict", "note"), TEXT),
}
