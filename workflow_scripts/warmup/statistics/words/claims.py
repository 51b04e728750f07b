"""The papers' claims held against the data, by rules that stand in the configuration before the data are seen.

In: `claims` of the configuration and the study's tables. Out: one row per claim with what was measured, the test in
words, and the verdict: supported (or only among the warmups that were tried), contradicted, not identifiable,
inconclusive, or not testable at this scale. No claim, number or
threshold stands here: a claim names a table, the rows and columns that measure it, and a rule for the limits found
there.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars

from warmup.config.claim_tables import MADE_OF_THEM
from warmup.errors import ConfigurationError
from warmup.statistics.base.intervals import t_quantile
from warmup.statistics.base.outcomes import CELL

SUPPORTED, CONTRADICTED = "supported", "contradicted"
AMONG_TRIED = "supported among the warmups tried"
FLAT = "not identifiable: the curve is flat"
INCONCLUSIVE, NOT_TESTABLE = "inconclusive", "not testable at this scale"


@dataclass(frozen=True)
class Measured:
    """One row that measures a claim.

    Limits of what was tried, `outer` limits of the quantity itself where what lies between was not tried, or `note`:
    why there are none. `flat`: every warmup is demonstrated to be as good as the best, so that no range is better.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    outer_low: float | None
    outer_high: float | None
    note: str
    flat: bool = False


def claims_table(
    claims: Mapping[str, Mapping[str, Any]], tables: Mapping[str, polars.DataFrame], settings: Mapping[str, Any]
) -> polars.DataFrame:
    """One row per claim, in the order of the configuration. `settings`: scale, study, confidence."""
    tables = {**tables, MADE_OF_THEM: optimum_ranges(tables["plateaus"], tables["runs"])}
    return polars.DataFrame([_claim(name, entry, tables, settings) for name, entry in claims.items()], schema=CLAIMS)


def optimum_ranges(plateaus: polars.DataFrame, runs: polars.DataFrame) -> polars.DataFrame:
    """Where the best warmup may lie, per cell: ends of the *not excluded* set, and the excluded warmups next to it.

    Columns: architecture, task, recipe, low, high (ends of the set), outer_low, outer_high (the neighbours that were
    excluded; 0 and 1 where the set reaches the end of the grid), identified (something was excluded), flat (every
    warmup is demonstrated to lie within the margin), n, verdict, note. Between two warmups that were run the best may
    lie anywhere, so it is known no closer than to the outer interval (one valley assumed).
    """
    rows = []
    for row in plateaus.iter_rows(named=True):
        here = [polars.col(name) == row[name] for name in CELL]
        grid = sorted(runs.filter(*here)["warmup"].unique().to_list())
        low, high = row["not_excluded_low"], row["not_excluded_high"]
        found = {name: row[name] for name in (*CELL, "n", "verdict", "note")}
        if low is not None:
            found |= {"low": low, "high": high, "identified": not row["whole_grid"]}
            found |= {"flat": row["flat"]}
            found |= {"outer_low": max([w for w in grid if w < low - 1e-12], default=0.0)}
            found |= {"outer_high": min([w for w in grid if w > high + 1e-12], default=1.0)}
        rows.append(found)
    return polars.DataFrame(rows, schema=RANGES)


def _claim(
    name: str, entry: Mapping[str, Any], tables: Mapping[str, polars.DataFrame], settings: Mapping[str, Any]
) -> dict[str, Any]:
    row: dict[str, Any] = {"claim": name, "test": rule_in_words(entry["rule"])}
    row |= {key: entry[key] for key in ("source", "statement", "claimed")}
    row |= {"scale": settings["scale"], "study": settings["study"]}
    blocked = _not_testable(entry, tables, settings)
    if blocked:
        return row | {"verdict": NOT_TESTABLE, "reason": blocked}
    rows = measure(entry["measurement"], tables, settings["confidence"])
    row |= {"n": len(rows), "measured": "; ".join(_in_words(one) for one in rows)}
    row |= {name: [getattr(one, name) for one in rows] for name in ("name", "value")}
    row |= {"lows": [one.low for one in rows], "highs": [one.high for one in rows]} | _allowed(entry["rule"])
    if len(rows) == 1:
        row |= {"estimate": rows[0].value, "low": rows[0].low, "high": rows[0].high}
    if not rows:
        return row | {"verdict": NOT_TESTABLE, "reason": f"no row of {entry['measurement']['table']} measures it"}
    unmet = [reason for reason in (_unmet(need, tables) for need in entry["requires"]) if reason]
    if unmet:
        return row | {"verdict": INCONCLUSIVE, "reason": "; ".join(unmet)}
    verdict, reason = decide(rows, entry["rule"])
    return row | {"verdict": verdict, "reason": reason}


def _not_testable(
    entry: Mapping[str, Any], tables: Mapping[str, polars.DataFrame], settings: Mapping[str, Any]
) -> str | None:
    if settings["study"] not in entry["studies"]:
        return f"asked of the study {' or '.join(entry['studies'])}"
    if entry["scales"] and settings["scale"] not in entry["scales"]:
        return f"its number is one of the scale {' or '.join(entry['scales'])}"
    missing = [part["table"] for part in (entry["measurement"], *entry["requires"]) if part["table"] not in tables]
    return f"needs the table {missing[0]}" if missing else _beside_the_grid(entry, tables)


def _beside_the_grid(entry: Mapping[str, Any], tables: Mapping[str, polars.DataFrame]) -> str | None:
    """Why no plateau set can lie within the claimed range: none of the warmups that were run does."""
    rule = entry["rule"]
    if entry["measurement"]["table"] != MADE_OF_THEM or rule["kind"] != "within":
        return None
    cells = {key: value for key, value in entry["measurement"]["where"].items() if key in CELL}
    grid = sorted(set(select(tables["runs"], cells)["warmup"].to_list()))
    if not grid or any(rule["low"] - 1e-12 <= warmup <= rule["high"] + 1e-12 for warmup in grid):
        return None
    shown = ", ".join(f"{100 * warmup:.3g}" for warmup in grid)
    return f"no warmup from {100 * rule['low']:.3g} to {100 * rule['high']:.3g} % was run ({shown} %)"


def measure(
    measurement: Mapping[str, Any], tables: Mapping[str, polars.DataFrame], confidence: float
) -> list[Measured]:
    """The rows that measure a claim; with `minus`, the difference between two groups of rows, paired by `pair_by`."""
    table = tables[measurement["table"]]
    _check_columns(measurement, table)
    rows = select(table, measurement["where"])
    if measurement["minus"]:
        return _contrast(measurement, rows, select(table, measurement["minus"]), confidence)
    return [_row(measurement, row) for row in rows.iter_rows(named=True)]


def select(table: polars.DataFrame, where: Mapping[str, Any]) -> polars.DataFrame:
    """Rows of `table`: a column equal to one of a list, to a value, or, as {above: x} / {below: x}, beyond it."""
    for column, wanted in where.items():
        if column not in table.columns:
            raise ConfigurationError(f"claims: the table has no column {column!r}; it has {', '.join(table.columns)}")
        if isinstance(wanted, Mapping):
            for side, limit in wanted.items():
                test = polars.col(column) > limit if side == "above" else polars.col(column) < limit
                table = table.filter(test)
        else:
            values = wanted if isinstance(wanted, list) else [wanted]
            kept = polars.Series(values).cast(table.schema[column], strict=False)
            table = table.filter(polars.col(column).is_in(kept.implode()))
    return table


def decide(rows: Sequence[Measured], rule: Mapping[str, Any]) -> tuple[str, str]:
    """Verdict and reason of the rows together, by the rule's quantifier.

    all: supported if every row supports; contradicted if any contradicts. most: more than half, and no row the other
    way. any: supported if one supports; contradicted if every row contradicts. Rows without limits count, and support
    nothing. Where it takes rows that support among the warmups tried, so does the whole.
    """
    votes = [judge(row, rule) for row in rows]
    n, no, flat = len(votes), votes.count(CONTRADICTED), votes.count(FLAT)
    whole = votes.count(SUPPORTED)
    tried = whole + votes.count(AMONG_TRIED)

    def enough(yes: int) -> bool:
        return {"all": yes == n, "most": 2 * yes > n and no == 0, "any": yes > 0}[rule["quantifier"]]

    against = {"all": no > 0, "most": 2 * no > n and tried == 0, "any": no == n}[rule["quantifier"]]
    verdict = next(
        name
        for name, reached in (
            (SUPPORTED, enough(whole)),
            (AMONG_TRIED, enough(tried)),
            (CONTRADICTED, against),
            (FLAT, flat == n),
            (INCONCLUSIVE, True),
        )
        if reached
    )
    counts = [f"{tried} of {n} support", f"{no} contradict", *([f"{flat} flat"] if flat else [])] if n > 1 else []
    silent = [row.note for row in rows if row.low is None and row.note]
    said = silent if verdict in (INCONCLUSIVE, FLAT) else []
    between = ["the best may lie between these and the warmups beside them"] if verdict == AMONG_TRIED else []
    said = [*between, *said, *(row.note for row in rows if row.low is not None and row.note)]
    return verdict, "; ".join(filter(None, [", ".join(counts), *dict.fromkeys(said)]))


def judge(row: Measured, rule: Mapping[str, Any]) -> str:
    """One row: supported if its outer limits lie wholly inside what the rule allows, contradicted if wholly outside.

    within: inside [low, high]; above: beyond `threshold`; below: short of it. Where only the limits of what was tried
    lie inside: supported among the warmups tried.
    """
    if row.low is None or row.high is None or row.outer_low is None or row.outer_high is None:
        return INCONCLUSIVE
    if row.flat:
        return FLAT
    if _inside(row.outer_low, row.outer_high, rule):
        return SUPPORTED
    if _inside(row.low, row.high, rule):
        return AMONG_TRIED
    if rule["kind"] == "within":
        outside = row.outer_high <= rule["low"] or row.outer_low >= rule["high"]
    elif rule["kind"] == "above":
        outside = row.outer_high < rule["threshold"]
    else:
        outside = row.outer_low > rule["threshold"]
    return CONTRADICTED if outside else INCONCLUSIVE


def _inside(low: float, high: float, rule: Mapping[str, Any]) -> bool:
    if rule["kind"] == "within":
        return bool(rule["low"] <= low and high <= rule["high"])
    return bool(low > rule["threshold"] if rule["kind"] == "above" else high < rule["threshold"])


def _allowed(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Ends of what the rule allows; null where it has no end."""
    if rule["kind"] == "within":
        return {"allowed_low": float(rule["low"]), "allowed_high": float(rule["high"])}
    return {"allowed_low" if rule["kind"] == "above" else "allowed_high": float(rule["threshold"])}


def rule_in_words(rule: Mapping[str, Any]) -> str:
    """The rule as a sentence part, e.g. "most: limits within 0.05 to 0.08"."""
    what = (
        f"within {rule['low']:g} to {rule['high']:g}"
        if rule["kind"] == "within"
        else f"{rule['kind']} {rule['threshold']:g}"
    )
    return f"limits {what} ({rule['quantifier']} rows)"


def _row(measurement: Mapping[str, Any], row: Mapping[str, Any]) -> Measured:
    unit = row[measurement["unit"]] if measurement["unit"] else 1.0

    def number(key: str, otherwise: float | None = None) -> float | None:
        column = measurement[key]
        value = row[column] if column else None
        return value / unit if value is not None and unit and math.isfinite(value) else otherwise

    low, high = number("low"), number("high")
    named = [str(row[name]) for name in measurement["name_by"]]
    note = str(row.get("note") or row.get("reason") or "")
    outer = (number("outer_low", low), number("outer_high", high))
    return Measured(" ".join(named), number("value"), low, high, *outer, note, flat=bool(row.get("flat")))


def _contrast(
    measurement: Mapping[str, Any], these: polars.DataFrame, those: polars.DataFrame, confidence: float
) -> list[Measured]:
    """value - value of the paired rows of the other group, by Welch's interval from `error` and `count` columns."""
    value, error, count = (measurement[key] for key in ("value", "error", "count"))
    joined = these.join(those, on=measurement["pair_by"], suffix="_minus")
    found = []
    for row in joined.iter_rows(named=True):
        other = [str(row[f"{key}_minus"]) for key in measurement["name_by"] if key not in measurement["pair_by"]]
        name = " ".join([*(str(row[key]) for key in measurement["name_by"]), "less", *other])
        pair = [(row[f"{value}{end}"], row[f"{error}{end}"], row[f"{count}{end}"]) for end in ("", "_minus")]
        if any(part is None for triple in pair for part in triple[:2]):
            found.append(Measured(name, None, None, None, None, None, "one side has no standard error"))
            continue
        difference = pair[0][0] - pair[1][0]
        parts = [triple[1] ** 2 for triple in pair]
        freedom = sum(parts) ** 2 / sum(part**2 / (triple[2] - 1) for part, triple in zip(parts, pair, strict=True))
        half = t_quantile(0.5 + confidence / 2, freedom) * math.sqrt(sum(parts))
        low, high = difference - half, difference + half
        notes = dict.fromkeys(str(row.get(f"note{end}") or "") for end in ("", "_minus"))
        found.append(Measured(name, difference, low, high, low, high, "; ".join(filter(None, notes))))
    return found


def _unmet(need: Mapping[str, Any], tables: Mapping[str, polars.DataFrame]) -> str | None:
    """The sentence of a requirement that the tables do not meet: the mean of a column must reach `at_least`."""
    column = select(tables[need["table"]], need["where"])[need["column"]]
    share = column.cast(polars.Float64).fill_null(0.0).mean()
    if share is not None and float(share) >= need["at_least"]:
        return None
    return str(need["otherwise"])


def _check_columns(measurement: Mapping[str, Any], table: polars.DataFrame) -> None:
    named = [measurement[key] for key in ("value", "low", "high", "outer_low", "outer_high", "unit", "error", "count")]
    pairs = measurement["pair_by"] if measurement["minus"] else []
    for column in [*named, *measurement["name_by"], *pairs]:
        if column and column not in table.columns:
            known = ", ".join(table.columns)
            raise ConfigurationError(f"claims: table {measurement['table']} has no column {column!r}; it has {known}")


def _in_words(row: Measured) -> str:
    name = f"{row.name}: " if row.name else ""
    if row.low is None or row.high is None:
        return f"{name}{'' if row.value is None else f'{row.value:.3g}, '}no limits"
    limits = f"{row.low:.3g} to {row.high:.3g}"
    return f"{name}{limits}" if row.value is None else f"{name}{row.value:.3g} ({limits})"


RANGES = {
    **dict.fromkeys(CELL, polars.String),
    **dict.fromkeys(("low", "high", "outer_low", "outer_high"), polars.Float64),
    **dict.fromkeys(("identified", "flat"), polars.Boolean),
    "n": polars.Int64,
    **dict.fromkeys(("verdict", "note"), polars.String),
}
CLAIMS: dict[str, Any] = {
    **dict.fromkeys(("claim", "source", "statement", "claimed", "scale", "study", "measured"), polars.String),
    **dict.fromkeys(("estimate", "low", "high"), polars.Float64),
    "n": polars.Int64,
    "name": polars.List(polars.String()),
    **dict.fromkeys(("value", "lows", "highs"), polars.List(polars.Float64())),
    **dict.fromkeys(("allowed_low", "allowed_high"), polars.Float64),
    **dict.fromkeys(("test", "verdict", "reason"), polars.String),
}
"""Columns of the claims table; `name`, `value`, `lows`, `highs` have an entry for each row that measures the claim."""
