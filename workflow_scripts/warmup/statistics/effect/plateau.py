"""Plateau sets: which warmups are practically as good as the best one, and what to take where that stays open.

In: the runs table. Out: one row per cell (PLATEAUS) with its sets, the warmup recommended and the verdict on the
declared reference (no warmup); one row per arm (REGRETS) with the limits of its regret. The limits are those of `best`.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars
from numpy.typing import NDArray

from warmup.statistics.base.intervals import CANNOT_SAY, Floats, holm
from warmup.statistics.base.outcomes import CELL, SCHEMA, Cell, cells
from warmup.statistics.base.pairing import PairedErrors, study_errors
from warmup.statistics.effect.best import UNDECIDED, judge, seeds_to_next_verdict

DECIDED, OPEN = "decided", "open"
"""States of a cell of a fixed design; looks have further words for a cell that is open."""


def comparison_limits(reach: Floats) -> Floats:
    """Half widths for the arms [arms] such that two differ about where their limits part (Goldstein & Healy 1995).

    Median over the other arms of the half width of the difference, over sqrt(2): the seeds' common part does not enter,
    and a wild arm widens its own limits, not those of others.
    """
    others = ~np.eye(len(reach), dtype=bool)
    return np.array([np.median(row[keep]) for row, keep in zip(reach, others, strict=True)]) / 2.0**0.5


def margin(settings: Mapping[str, Any], task: str, scale: float, key: str = "margins") -> float:
    """Practical margin of `task` in the outcome's unit; a relative one is a share of `scale`, the best mean outcome.

    `key` "equivalence_margins" reads the margins of the equivalence test, which are the practical ones unless declared.
    """
    declared = settings[key] or settings["margins"]
    entry = declared.get(task) or declared["default"]
    if entry.get("absolute") is not None:
        return float(entry["absolute"])
    return float(entry["relative"]) * abs(scale)


def plateaus(runs: polars.DataFrame, settings: Mapping[str, Any]) -> tuple[polars.DataFrame, polars.DataFrame]:
    """Plateau sets per cell (PLATEAUS) and regrets per arm (REGRETS).

    Reading *not excluded*: lower limit of the regret, all warmups of the cell together, <= margin. Reading
    *demonstrated*: upper limit <= margin. Ends are given as warmup fractions; `_contiguous` is False where a set has a
    gap. Every statement holds with `confidence` for one cell; `reference_p_holm` is corrected over the study's cells.
    """
    everything = cells(runs, settings["outcome"])
    sets, arms = [], []
    for cell, errors in zip(everything, study_errors(everything), strict=True):
        one, rows = _plateau(cell, errors, settings)
        sets.append(one)
        arms.extend(rows)
    for row, corrected in zip(sets, holm([row.get("reference_p") for row in sets]), strict=True):
        row["reference_p_holm"] = corrected
        if row["reference_verdict"] != CANNOT_SAY and corrected is not None:
            row["reference_excluded_in_study"] = corrected <= 1.0 - settings["confidence"]
    return polars.DataFrame(sets, schema=PLATEAUS), polars.DataFrame(arms, schema=REGRETS)


def _plateau(
    cell: Cell, errors: PairedErrors, settings: Mapping[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    confidence, reference = settings["confidence"], settings["reference"]
    head = cell.key | {"role": cell.role, "n": errors.seeds, "confidence": confidence, "reference": reference}
    if not errors.known:
        note = f"{CANNOT_SAY}: {errors.note}"
        blank = [cell.key | {"warmup": warmup, "note": note} for warmup in cell.block.arms]
        unknown = {"reference_verdict": CANNOT_SAY, "verdict": CANNOT_SAY, "note": note}
        return head | unknown | {"state": OPEN, "still_in": list(cell.block.arms)}, blank
    means = cell.block.complete.mean(axis=0)
    delta = margin(settings, cell.task, float(means.min()))
    found = judge(cell.block, errors, delta, confidence, reference)
    half = comparison_limits(errors.reach(confidence))
    by_arm = {
        "mean": means,
        "mean_low": means - half,
        "mean_high": means + half,
        "regret": found.regrets.estimate,
        "regret_low": found.regrets.low,
        "regret_high": found.regrets.high,
        "regret_low_alone": found.regrets.low_alone,
        "possible_best": found.regrets.possible_best,
        "not_excluded": found.not_excluded,
        "demonstrated": found.demonstrated,
    }
    rows = [
        cell.key
        | {"warmup": warmup, "margin": delta, "note": ""}
        | {name: each[i].item() for name, each in by_arm.items()}
        for i, warmup in enumerate(cell.block.arms)
    ]
    open_reference = found.reference == UNDECIDED
    projected = seeds_to_next_verdict(
        means,
        errors,
        delta,
        confidence,
        demonstrated=bool(found.demonstrated.any()),
        reference=cell.block.arms.index(reference) if open_reference else None,
    )
    one = head | {
        "margin": delta,
        "method": errors.method,
        "possible_best": cell.warmups[found.regrets.possible_best].tolist(),
        **ends("not_excluded", cell.warmups, found.not_excluded),
        **ends("demonstrated", cell.warmups, found.demonstrated),
        "whole_grid": bool(found.not_excluded.all()),
        "flat": found.flat,
        "recommended": found.recommended,
        "recommended_high": found.recommended_high,
        "reference_verdict": found.reference,
        "reference_p": found.p_reference,
        "state": DECIDED if found.demonstrated.any() and not open_reference else OPEN,
        "projected": None if math.isinf(projected) else projected,
        "still_in": list(cell.block.arms),
        "verdict": "ok",
        "note": ""
        if found.demonstrated.any()
        else "no warmup is demonstrated to lie within the margin at this number of seeds",
    }
    return one, rows


def ends(name: str, warmups: Floats, member: NDArray[np.bool_]) -> dict[str, Any]:
    """Columns of the set `member` [arms] of `warmups`: its ends, whether it has no gap, and the warmups themselves."""
    inside = np.flatnonzero(member)
    if len(inside) == 0:
        return {f"{name}_low": None, f"{name}_high": None, f"{name}_contiguous": None, f"{name}": []}
    return {
        f"{name}_low": float(warmups[inside[0]]),
        f"{name}_high": float(warmups[inside[-1]]),
        f"{name}_contiguous": bool(len(inside) == inside[-1] - inside[0] + 1),
        f"{name}": warmups[inside].tolist(),
    }


_SET: dict[str, polars.DataType] = {
    "_low": polars.Float64(),
    "_high": polars.Float64(),
    "_contiguous": polars.Boolean(),
}

PLATEAUS: dict[str, polars.DataType] = {
    **{name: SCHEMA[name] for name in (*CELL, "role")},
    "n": polars.Int64(),
    "confidence": polars.Float64(),
    "margin": polars.Float64(),
    "method": polars.String(),
    "possible_best": polars.List(polars.Float64()),
    **{f"not_excluded{end}": kind for end, kind in _SET.items()},
    "not_excluded": polars.List(polars.Float64()),
    **{f"demonstrated{end}": kind for end, kind in _SET.items()},
    "demonstrated": polars.List(polars.Float64()),
    "whole_grid": polars.Boolean(),
    "flat": polars.Boolean(),
    "recommended": polars.Float64(),
    "recommended_high": polars.Float64(),
    "reference": polars.Float64(),
    "reference_verdict": polars.String(),
    "reference_p": polars.Float64(),
    "reference_p_holm": polars.Float64(),
    "reference_excluded_in_study": polars.Boolean(),
    "state": polars.String(),
    "projected": polars.Float64(),
    "still_in": polars.List(polars.Float64()),
    "verdict": polars.String(),
    "note": polars.String(),
}
"""Columns of the plateaus table; ends, margins in the outcome's unit; warmups as fractions of training.

`possible_best`: warmups that may be the best. `recommended`: the warmup with the smallest upper limit of regret, which
`recommended_high` is. `flat`: every warmup tried is demonstrated, so that the best cannot be told. `reference_verdict`:
excluded (its regret is more than the margin), within (demonstrated), undecided, cannot say. `state`: decided (some
warmup is demonstrated, the reference is judged), open, or the verdict of the last look; `projected`: seeds after which
its next verdict would be had if what was found were true, null beyond 200; `still_in`: warmups that further seeds would
run."""

REGRETS: dict[str, polars.DataType] = {
    **{name: SCHEMA[name] for name in (*CELL, "warmup")},
    "mean": polars.Float64(),
    "mean_low": polars.Float64(),
    "mean_high": polars.Float64(),
    "regret": polars.Float64(),
    "regret_low": polars.Float64(),
    "regret_high": polars.Float64(),
    "regret_low_alone": polars.Float64(),
    "possible_best": polars.Boolean(),
    "not_excluded": polars.Boolean(),
    "demonstrated": polars.Boolean(),
    "margin": polars.Float64(),
    "note": polars.String(),
}
"""Columns of the regrets table: one row per arm.

`regret_low` holds for all arms of a cell together, so does `regret_high`; `regret_low_alone` for one arm declared
beforehand. `mean_low`, `mean_high` are comparison limits of one arm's mean (`comparison_limits`), for drawing."""
