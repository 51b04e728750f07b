"""Every pair of arms of every cell: by how much they differ, with limits that hold for all pairs of a cell together.

In: the runs table. Out: one row per pair (PAIRWISE). The limits are those of `best` and of the plateau sets.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import polars

from warmup.statistics.base.intervals import CANNOT_SAY
from warmup.statistics.base.outcomes import CELL, SCHEMA, cells
from warmup.statistics.base.pairing import study_errors
from warmup.statistics.effect.best import UNDECIDED
from warmup.statistics.effect.plateau import margin

DIFFERENT, EQUIVALENT = "different", "equivalent"


def pairwise(runs: polars.DataFrame, settings: Mapping[str, Any]) -> polars.DataFrame:
    """Rows of PAIRWISE: outcome(warmup) - outcome(other), so that negative says `warmup` is the better one.

    different: the limits exclude zero; equivalent: they lie within the margin (which goes before different); else
    undecided, or cannot say with its reason. A cell of which nothing can be said has one row without warmups.
    """
    everything = cells(runs, settings["outcome"])
    rows: list[dict[str, Any]] = []
    for cell, errors in zip(everything, study_errors(everything), strict=True):
        if not errors.known:
            rows.append(cell.key | {"verdict": CANNOT_SAY, "note": f"{CANNOT_SAY}: {errors.note}"})
            continue
        means = cell.block.complete.mean(axis=0)
        delta = margin(settings, cell.task, float(means.min()))
        half = errors.simultaneous_reach(settings["confidence"])
        for i, j in combinations(range(len(means)), 2):
            difference, width = float(means[i] - means[j]), float(half[i, j])
            low, high = difference - width, difference + width
            within, apart = max(-low, high) <= delta, low > 0.0 or high < 0.0
            rows.append(
                cell.key
                | {"warmup": cell.block.arms[i], "other": cell.block.arms[j], "n": errors.seeds}
                | {"difference": difference, "low": low, "high": high, "margin": delta}
                | {"verdict": EQUIVALENT if within else DIFFERENT if apart else UNDECIDED}
                | {"note": "differs, but by less than the margin" if within and apart else ""}
            )
    return polars.DataFrame([{name: row.get(name) for name in PAIRWISE} for row in rows], schema=PAIRWISE)


PAIRWISE: dict[str, polars.DataType] = {
    **{name: SCHEMA[name] for name in (*CELL, "warmup")},
    "other": polars.Float64(),
    "n": polars.Int64(),
    **dict.fromkeys(("difference", "low", "high", "margin"), polars.Float64()),
    "verdict": polars.String(),
    "note": polars.String(),
}
"""Columns of the pairwise table; differences, limits and margins in the outcome's unit."""
