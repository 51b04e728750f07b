"""Plateau sets: which warmups are practically as good as the best one.

Regret R(w) = mean outcome(w) - smallest mean outcome over the warmups (means over the same seeds; the population's
best arm, not each seed's). On the event that all pairwise differences lie within their simultaneous limits
  - the best arm is among G = {i : d(i, l) <= c s(i, l) for every l},            d = difference of means, s its error
  - R(w) >= max_l d(w, l) - c s(w, l),
  - R(w) <= max_{i in G, i != w} d(w, i) + c s(w, i)   (and R(w) >= 0),
so the limits below hold for all w together with the stated confidence, although the best arm is estimated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy
import polars
from numpy.typing import NDArray

from warmup.statistics.base.intervals import CANNOT_SAY, Floats
from warmup.statistics.base.outcomes import CELL, SCHEMA, Cell, cells
from warmup.statistics.base.pairing import PairedErrors, study_errors


@dataclass(frozen=True)
class Regrets:
    """Regret of each arm with simultaneous limits, all [arms]; `best` marks the arms that may be the best."""

    estimate: Floats
    low: Floats
    high: Floats
    best: NDArray[numpy.bool_]


def regrets(means: Floats, reach: Floats) -> Regrets:
    """Regrets from arm means [arms] and the simultaneous half widths of their differences [arms, arms]."""
    difference = means[:, None] - means[None, :]
    best: NDArray[numpy.bool_] = numpy.all(difference <= reach, axis=1)
    low = numpy.maximum((difference - reach).max(axis=1), 0.0)
    rivals = best[None, :] & ~numpy.eye(len(means), dtype=bool)
    high = numpy.where(rivals, difference + reach, 0.0).max(axis=1)
    return Regrets(means - means.min(), low, numpy.maximum(high, low), best)


def comparison_limits(reach: Floats) -> Floats:
    """Half widths for the arms [arms] such that two differ about where their limits part (Goldstein & Healy 1995).

    Median over the other arms of the half width of the difference, over sqrt(2): the seeds' common part does not enter,
    and a wild arm widens its own limits, not those of others.
    """
    others = ~numpy.eye(len(reach), dtype=bool)
    return numpy.array([numpy.median(row[keep]) for row, keep in zip(reach, others, strict=True)]) / 2.0**0.5


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

    Reading *not excluded*: lower limit of R(w) <= delta. Reading *demonstrated*: upper limit <= delta. Ends are given
    as warmup fractions; `_contiguous` is False where a set has a gap.
    """
    everything = cells(runs, settings["outcome"])
    sets, arms = [], []
    for cell, errors in zip(everything, study_errors(everything, settings["pool_below"]), strict=True):
        one, rows = _plateau(cell, errors, settings)
        sets.append(one)
        arms.extend(rows)
    return polars.DataFrame(sets, schema=PLATEAUS), polars.DataFrame(arms, schema=REGRETS)


def _plateau(
    cell: Cell, errors: PairedErrors, settings: Mapping[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    confidence = settings["confidence"]
    head = cell.key | {"role": cell.role, "n": errors.seeds, "confidence": confidence}
    if not errors.known:
        note = f"{CANNOT_SAY}: {errors.note}"
        blank = [cell.key | {"warmup": float(warmup), "note": note} for warmup in cell.warmups]
        return head | {"verdict": CANNOT_SAY, "note": note}, blank
    means = cell.block.complete.mean(axis=0)
    found = regrets(means, errors.simultaneous_reach(confidence))
    delta = margin(settings, cell.task, float(means.min()))
    not_excluded, demonstrated = found.low <= delta, found.high <= delta
    half = comparison_limits(errors.reach(confidence))
    rows = [
        cell.key
        | {"warmup": float(cell.warmups[i]), "mean": float(means[i])}
        | {"mean_low": float(means[i] - half[i]), "mean_high": float(means[i] + half[i])}
        | {"regret": float(found.estimate[i])}
        | {"regret_low": float(found.low[i]), "regret_high": float(found.high[i])}
        | {"not_excluded": bool(not_excluded[i]), "demonstrated": bool(demonstrated[i]), "margin": delta, "note": ""}
        for i in range(len(means))
    ]
    one = head | {
        "margin": delta,
        "method": errors.method,
        "best_candidates": int(found.best.sum()),
        **_ends("not_excluded", cell.warmups, not_excluded),
        **_ends("demonstrated", cell.warmups, demonstrated),
        "whole_grid": bool(not_excluded.all()),
        "verdict": "ok",
        "note": ""
        if demonstrated.any()
        else "no warmup is demonstrated to lie within the margin at this number of seeds",
    }
    return one, rows


def _ends(name: str, warmups: Floats, member: NDArray[numpy.bool_]) -> dict[str, Any]:
    inside = numpy.flatnonzero(member)
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
    "best_candidates": polars.Int64(),
    **{f"not_excluded{end}": kind for end, kind in _SET.items()},
    "not_excluded": polars.List(polars.Float64()),
    **{f"demonstrated{end}": kind for end, kind in _SET.items()},
    "demonstrated": polars.List(polars.Float64()),
    "whole_grid": polars.Boolean(),
    "verdict": polars.String(),
    "note": polars.String(),
}
"""Columns of the plateaus table; ends, margins in the outcome's unit; warmups as fractions of training."""

REGRETS: dict[str, polars.DataType] = {
    **{name: SCHEMA[name] for name in (*CELL, "warmup")},
    "mean": polars.Float64(),
    "mean_low": polars.Float64(),
    "mean_high": polars.Float64(),
    "regret": polars.Float64(),
    "regret_low": polars.Float64(),
    "regret_high": polars.Float64(),
    "not_excluded": polars.Boolean(),
    "demonstrated": polars.Boolean(),
    "margin": polars.Float64(),
    "note": polars.String(),
}
"""Columns of the regrets table: one row per arm; regret's limits are simultaneous over the arms of a cell.

`mean_low`, `mean_high` are comparison limits of one arm's mean (`comparison_limits`), for drawing."""
