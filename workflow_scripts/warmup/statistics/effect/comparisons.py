"""Declared families of paired comparisons: each warmup against a reference warmup, corrected over the family.

The family is written in the configuration before the data are seen. A difference is tested (t, paired by seed), and so
is its absence: "no difference" needs the equivalence test (TOST, Schuirmann 1987), not a large p.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import polars

from warmup.statistics.base.intervals import CANNOT_SAY, bonferroni, holm
from warmup.statistics.base.outcomes import CELL, SCHEMA, Cell, cells
from warmup.statistics.base.pairing import FEW_SEEDS, PairedErrors, study_errors
from warmup.statistics.effect.best import UNDECIDED
from warmup.statistics.effect.plateau import margin

DIFFERENT, EQUIVALENT = "different", "equivalent"

CORRECTED_OVER = {"study": (), "task": ("task",), "architecture": ("architecture",), "cell": CELL}
"""What makes up one family: all comparisons of the study, or those that share these columns."""


DIVERGED = (
    f"runs diverged, and below {FEW_SEEDS} seeds no limits of a mean that includes them hold; read the divergence rates"
)


def comparisons(runs: polars.DataFrame, settings: Mapping[str, Any]) -> polars.DataFrame:
    """One row per declared comparison (COMPARISONS): outcome(warmup) - outcome(reference), so negative is better.

    `low`, `high` are for one comparison; `bonferroni_low`, `bonferroni_high` hold for the family together. A comparison
    that cannot be tested still counts in its family's size.
    """
    everything = cells(runs, settings["outcome"])
    errors = study_errors(everything)
    rows: list[dict[str, Any]] = []
    for family, entry in settings["comparisons"].items():
        found = [
            row | {"family": family}
            for cell, error in zip(everything, errors, strict=True)
            for row in _rows(cell, error, entry, settings)
        ]
        for members in _families(found, CORRECTED_OVER[entry["corrected_over"]]):
            _correct(members, settings)
        rows.extend(found)
    return polars.DataFrame([{name: row.get(name) for name in COMPARISONS} for row in rows], schema=COMPARISONS)


def _rows(
    cell: Cell, errors: PairedErrors, entry: Mapping[str, Any], settings: Mapping[str, Any]
) -> list[dict[str, Any]]:
    reference = entry["reference"]
    wanted = entry["warmups"] or [float(warmup) for warmup in cell.warmups if warmup != reference]
    return [_row(cell, errors, float(warmup), float(reference), settings) for warmup in wanted if warmup != reference]


def _row(
    cell: Cell, errors: PairedErrors, warmup: float, reference: float, settings: Mapping[str, Any]
) -> dict[str, Any]:
    head = cell.key | {"role": cell.role, "warmup": warmup, "reference": reference, "n": errors.seeds}
    absent = [value for value in (warmup, reference) if value not in cell.warmups]
    if absent:
        return head | _cannot(f"warmup {absent[0]:g} was not run")
    if not errors.known:
        return head | _cannot(errors.note)
    this, that = (int(np.flatnonzero(cell.warmups == value)[0]) for value in (warmup, reference))
    if _too_few(cell, errors, this, that):
        return head | _cannot(DIVERGED)
    values = cell.block.complete
    differences = values[:, this] - values[:, that]
    difference, error = float(differences.mean()), float(errors.errors[this, that])
    delta = margin(settings, cell.task, float(values.mean(axis=0).min()), "equivalence_margins")
    half = float(errors.reach(settings["confidence"])[this, that])
    return head | {
        "difference": difference,
        "low": difference - half,
        "high": difference + half,
        "error": error,
        "t": errors.statistic(difference, this, that),
        "p": errors.p_value(errors.statistic(difference, this, that), this, that),
        "margin": delta,
        "p_equivalence": equivalence_p(difference, delta, errors, this, that),
        "method": errors.method,
        "reach": lambda level: float(errors.reach(level)[this, that]),
        "verdict": "ok",
        "note": "",
    }


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
            pair = cell.key | {"warmup": cell.block.arms[i], "other": cell.block.arms[j], "n": errors.seeds}
            if _too_few(cell, errors, i, j):
                rows.append(pair | {"difference": difference, "margin": delta} | _cannot(DIVERGED))
                continue
            low, high = difference - width, difference + width
            within, apart = max(-low, high) <= delta, low > 0.0 or high < 0.0
            rows.append(
                pair
                | {"difference": difference, "low": low, "high": high, "margin": delta}
                | {"verdict": EQUIVALENT if within else DIFFERENT if apart else UNDECIDED}
                | {"note": "differs, but by less than the margin" if within and apart else ""}
            )
    return polars.DataFrame([{name: row.get(name) for name in PAIRWISE} for row in rows], schema=PAIRWISE)


def _too_few(cell: Cell, errors: PairedErrors, first: int, second: int) -> bool:
    """Whether a run of either arm diverged, and seeds are too few for a mean that includes such runs."""
    return errors.seeds < FEW_SEEDS and bool(cell.block.diverged[:, [first, second]].any())


def equivalence_p(difference: float, margin: float, errors: PairedErrors, first: int = 0, second: int = 1) -> float:
    """p of two one-sided tests on arms `first` and `second`: the larger p of difference <= -margin and >= margin."""

    def above(distance: float) -> float:
        p = errors.p_value(errors.statistic(distance, first, second), first, second)
        return p / 2.0 if distance > 0 else 1.0 - p / 2.0

    return max(above(margin + difference), above(margin - difference))


def _cannot(reason: str) -> dict[str, Any]:
    return {"verdict": CANNOT_SAY, "note": f"{CANNOT_SAY}: {reason}"}


def _families(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> list[list[dict[str, Any]]]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in columns), []).append(row)
    return list(groups.values())


def _correct(rows: list[dict[str, Any]], settings: Mapping[str, Any]) -> None:
    """Adjusted p, simultaneous limits and the verdict of each member of one family, in place."""
    size, alpha = len(rows), 1.0 - settings["confidence"]
    p_values = [row.get("p") for row in rows]
    p_equivalence = holm([row.get("p_equivalence") for row in rows])
    for row, first, second, equal in zip(rows, bonferroni(p_values), holm(p_values), p_equivalence, strict=True):
        row |= {"family_size": size, "p_bonferroni": first, "p_holm": second, "p_equivalence_holm": equal}
        if first is None or second is None or equal is None:
            continue
        half = row["reach"](1.0 - alpha / size)
        row |= {"bonferroni_low": row["difference"] - half, "bonferroni_high": row["difference"] + half}
        row |= _verdict(row["difference"], second <= alpha, equal <= alpha)


def _verdict(difference: float, differs: bool, equivalent: bool) -> dict[str, str]:
    if equivalent:
        return {"verdict": "equivalent", "note": "differs, but by less than the margin" if differs else ""}
    if differs:
        return {"verdict": "better" if difference < 0 else "worse", "note": ""}
    return {"verdict": "inconclusive", "note": "neither a difference nor its absence is shown"}


COMPARISONS: dict[str, polars.DataType] = {
    "family": polars.String(),
    **{name: SCHEMA[name] for name in (*CELL, "role", "warmup")},
    "reference": polars.Float64(),
    "n": polars.Int64(),
    "family_size": polars.Int64(),
    **{
        name: polars.Float64()
        for name in (
            *("difference", "low", "high", "bonferroni_low", "bonferroni_high"),
            *("error", "t", "p", "p_bonferroni", "p_holm", "margin", "p_equivalence", "p_equivalence_holm"),
        )
    },
    "method": polars.String(),
    "verdict": polars.String(),
    "note": polars.String(),
}
"""Columns of the comparisons table; differences, limits and margins in the outcome's unit.

`verdict`: better | worse | equivalent | inconclusive (Holm, and TOST with Holm) | cannot say."""

PAIRWISE: dict[str, polars.DataType] = {
    **{name: SCHEMA[name] for name in (*CELL, "warmup")},
    "other": polars.Float64(),
    "n": polars.Int64(),
    **dict.fromkeys(("difference", "low", "high", "margin"), polars.Float64()),
    "verdict": polars.String(),
    "note": polars.String(),
}
"""Columns of the pairwise table; differences, limits and margins in the outcome's unit."""
