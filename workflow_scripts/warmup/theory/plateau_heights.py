"""Real trainings: is a lower loss reached, after the same decay, from a higher plateau?

What the model of [S2] suggests is a sign, not a number: somewhere a hotter plateau may leave less behind than a cooler
one. So all pairs of heights are compared, paired by seed, within each (architecture, task, warmup, decay), with limits
that hold for all pairs of that group together; nothing is taken from the model's landscapes.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import polars

from warmup.statistics.base.intervals import CANNOT_SAY, paired_t
from warmup.statistics.base.outcomes import Cell, with_outcome
from warmup.statistics.base.pairing import paired_errors
from warmup.theory.heights import families

GROUP = ("architecture", "task", "warmup", "decay")


def compare(runs: polars.DataFrame, settings: Mapping[str, Any]) -> tuple[polars.DataFrame, polars.DataFrame]:
    """Arms (one row per group and height) and differences (one row per group and pair of heights).

    `runs` is the runs table; `settings` has recipes, outcome, confidence, pool_below. A difference is hotter less
    cooler, so below zero the hotter plateau is better; `verdict`: hotter lower | hotter higher | no difference shown |
    cannot say. A diverged run counts as min(loss, loss at initialisation).
    """
    table = with_outcome(runs, settings["outcome"])
    groups = families(settings["recipes"], table["recipe"].unique(maintain_order=True))
    cells = [cell for group in groups for cell in _cells(table, group, settings["recipes"])]
    arms = [row for cell in cells for row in _arms(cell, settings["confidence"])]
    differences = [row for cell in cells for row in _differences(cell, cells, settings)]
    return polars.DataFrame(arms, schema=ARMS), polars.DataFrame(differences, schema=DIFFERENCES)


def _cells(table: polars.DataFrame, group: Mapping[float, str], recipes: Mapping[str, Any]) -> list[Cell]:
    """The group's runs as cells whose arms are plateau heights: `warmups` holds heights, `recipe` the rest."""
    heights = {name: height for height, name in group.items()}
    here = table.filter(polars.col("recipe").is_in(list(heights)))
    options = recipes[next(iter(heights))].get("schedule_options") or {}
    decay = f"{options.get('tail', '1-sqrt')} over {options.get('decay_fraction', 0.2):g}"
    found = []
    for part in here.partition_by(["architecture", "task", "warmup"], maintain_order=True):
        first = part.row(0, named=True)
        arms = np.array(sorted(group))
        seeds = np.unique(part["seed"].to_numpy())
        values = np.full((len(seeds), len(arms)), np.nan)
        diverged = np.zeros(values.shape, dtype=np.bool_)
        for row in part.iter_rows(named=True):
            at = np.searchsorted(seeds, row["seed"]), np.searchsorted(arms, heights[row["recipe"]])
            values[at] = np.nan if row["outcome"] is None else row["outcome"]
            diverged[at] = row["status"] == "diverged"
        label = f"{first['warmup']:g}|{decay}"
        found.append(
            Cell(
                first["architecture"],
                first["task"],
                label,
                first["role"],
                first["steps"],
                arms,
                seeds,
                values,
                diverged,
            )
        )
    return found


def _head(cell: Cell) -> dict[str, Any]:
    warmup, decay = cell.recipe.split("|")
    return {"architecture": cell.architecture, "task": cell.task, "warmup": float(warmup), "decay": decay}


def _arms(cell: Cell, confidence: float) -> list[dict[str, Any]]:
    rows = []
    for column, height in enumerate(cell.warmups):
        sample = cell.values[:, column][np.isfinite(cell.values[:, column])]
        mean = paired_t(sample, confidence)
        rows.append(
            _head(cell)
            | {"height": float(height), "n": len(sample), "diverged": int(cell.diverged[:, column].sum())}
            | mean.columns("mean")
            | {"values": sample.tolist(), "note": mean.note}
        )
    return rows


def _differences(cell: Cell, cells: list[Cell], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    others = [other for other in cells if other is not cell and other.recipe == cell.recipe]
    errors = paired_errors(cell, others, settings["pool_below"])
    means = cell.complete.mean(axis=0) if len(cell.complete) else np.full(len(cell.warmups), np.nan)
    reaches = errors.simultaneous_reach(settings["confidence"]) if errors.known else None
    rows = []
    for cool, hot in combinations(range(len(cell.warmups)), 2):
        head = _head(cell) | {
            "cooler": float(cell.warmups[cool]),
            "hotter": float(cell.warmups[hot]),
            "n": len(cell.complete),
            "confidence": settings["confidence"],
            "method": errors.method,
        }
        if reaches is None:
            rows.append(head | {"verdict": CANNOT_SAY, "note": errors.note})
            continue
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
