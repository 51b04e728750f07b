"""Two starts of one network compared: what the authors' start changes against the library's.

In: the runs table, the spike ratios of runs, and which architecture is whose twin. Out: one row per pair of twins, task
recipe and quantity (DIFFERENCES), the authors' less the library's, with an interval and no verdict. Twins share the
order of batches but no initial weight.

optimum         warmup as a fraction of training; limits from the two sets of warmups that are not excluded
regret          of no warmup, in the outcome's unit; limits from those of the two regrets
log_spike_ratio natural logarithm of the spike ratio of runs without warmup, differences within seeds, t interval

The first two take the limits of each twin at half the allowed error, so that the interval of the difference, from one's
lower to the other's upper limit, holds at the confidence asked for whatever the twins have in common.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars

from warmup.statistics.base.intervals import Interval, paired_t, unknown
from warmup.statistics.base.outcomes import CELL
from warmup.statistics.effect import optimum, plateau

OPTIMUM, REGRET, SPIKE = "optimum", "regret", "log_spike_ratio"


def start_differences(
    runs: polars.DataFrame, spikes: polars.DataFrame, twins: Sequence[tuple[str, str]], settings: Mapping[str, Any]
) -> polars.DataFrame:
    """DIFFERENCES of every pair (architecture, its twin with the library's start) that was trained in the same cells.

    `settings`: those of `plateau.plateaus` and `optimum.optima`; `spikes`: the rows of `spikes.spike_table`.
    """
    confidence = float(settings["confidence"])
    halved = {**settings, "confidence": 1.0 - (1.0 - confidence) / 2.0}
    sets, regrets = plateau.plateaus(runs, halved)
    tables = {"sets": sets, "regrets": regrets.filter(warmup=0.0), "optima": optimum.optima(runs, settings)}
    rows = []
    for authors, library in twins:
        cells = runs.filter(architecture=library).select("task", "recipe").unique(maintain_order=True)
        shared = runs.filter(architecture=authors).select("task", "recipe").unique()
        for task, recipe in cells.join(shared, on=["task", "recipe"], maintain_order="left").iter_rows():
            pair = [{"architecture": name, "task": task, "recipe": recipe} for name in (authors, library)]
            head = {"architecture": authors, "twin": library, "task": task, "recipe": recipe}
            found = {
                OPTIMUM: _between([_optimum(tables, cell) for cell in pair], confidence),
                REGRET: _between([_regret(tables, cell) for cell in pair], confidence),
                SPIKE: _spikes(spikes, pair, confidence),
            }
            rows += [head | {"quantity": quantity} | row for quantity, row in found.items()]
    return polars.DataFrame(rows, schema=DIFFERENCES)


def _row(values: Sequence[float | None], difference: Interval) -> dict[str, Any]:
    return {
        "authors": values[0],
        "library": values[1],
        **difference.columns("difference"),
        "n": difference.n,
        "confidence": difference.confidence,
        "note": difference.note,
    }


def _between(both: Sequence[Interval], confidence: float) -> dict[str, Any]:
    """The first less the second of two quantities that have limits each."""
    first, second = both
    seeds = min(first.n, second.n)
    values = [first.estimate, second.estimate]
    if not first.known or not second.known or first.estimate is None or second.estimate is None:
        reason = next(one.note for one in both if not one.known).removeprefix("cannot say: ")
        return _row(values, unknown(reason, n=seeds, confidence=confidence))
    limits = first.low - second.high, first.high - second.low  # type: ignore[operator]  # known, both of them
    return _row(values, Interval(first.estimate - second.estimate, *limits, seeds, confidence))


def _one(table: polars.DataFrame, cell: Mapping[str, str]) -> dict[str, Any]:
    found = table.filter(*(polars.col(name) == cell[name] for name in CELL))
    return found.row(0, named=True) if found.height else {}


def _optimum(tables: Mapping[str, polars.DataFrame], cell: Mapping[str, str]) -> Interval:
    best, known = _one(tables["optima"], cell), _one(tables["sets"], cell)
    if best.get("optimum") is None or known.get("not_excluded_low") is None:
        note = known.get("note") or "was not trained"
        return unknown(note, n=int(known.get("n") or 0), confidence=0.0, estimate=best.get("optimum"))
    low, high = min(known["not_excluded_low"], best["optimum"]), max(known["not_excluded_high"], best["optimum"])
    return Interval(best["optimum"], low, high, known["n"], known["confidence"])


def _regret(tables: Mapping[str, polars.DataFrame], cell: Mapping[str, str]) -> Interval:
    row, known = _one(tables["regrets"], cell), _one(tables["sets"], cell)
    seeds = int(known.get("n") or 0)
    if row.get("regret") is None or row["regret_low"] is None:
        return unknown(row.get("note") or "no warmup was not tried", n=seeds, confidence=0.0)
    return Interval(row["regret"], row["regret_low"], row["regret_high"], seeds, known["confidence"])


def _spikes(spikes: polars.DataFrame, pair: Sequence[Mapping[str, str]], confidence: float) -> dict[str, Any]:
    ratios = []
    for cell in pair:
        own = [polars.col(name) == cell[name] for name in CELL]
        rows = spikes.filter(*own, polars.col("warmup") == 0, polars.col("group") == "global")
        ratios.append(dict(rows.drop_nulls(SPIKE).select("seed", SPIKE).iter_rows()))
    seeds = sorted(set(ratios[0]) & set(ratios[1]))
    values = [sum(each.values()) / len(each) if each else None for each in ratios]
    return _row(values, paired_t([ratios[0][seed] - ratios[1][seed] for seed in seeds], confidence))


DIFFERENCES: dict[str, Any] = {
    **dict.fromkeys(("architecture", "twin", "task", "recipe", "quantity"), polars.String()),
    **dict.fromkeys(("authors", "library"), polars.Float64()),
    **dict.fromkeys(("difference", "difference_low", "difference_high"), polars.Float64()),
    "n": polars.Int64(),
    "confidence": polars.Float64(),
    "note": polars.String(),
}
