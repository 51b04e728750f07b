"""Records of looks: taken from the summaries of a cell's runs, written as JSON, told as tables.

In: `summary.json` files, a pilot's runs table. Out: the record of one look; the record of all looks as a table (LOOKS);
and, of an adaptive design, the plateaus and regrets tables, whose verdicts are those of the looks.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars

from warmup.errors import DataError
from warmup.statistics.base.blocks import Block
from warmup.statistics.base.intervals import CANNOT_SAY
from warmup.statistics.base.outcomes import CELL, SCHEMA, cells, runs_table
from warmup.statistics.effect import looks
from warmup.statistics.effect.plateau import PLATEAUS, REGRETS, ends


def take(
    summaries: Sequence[str], number: int, settings: Mapping[str, Any], pilot: str | None = None
) -> dict[str, Any]:
    """The record of look `number` at the cell of these summaries, as JSON.

    `settings`: what rule look depends on; `pilot`: path of a pilot's runs table (CSV).
    """
    runs = runs_table(summaries)
    (cell,) = cells(runs, settings["outcome"])
    margins = settings["margins"]
    rules = {**settings, "margin": margins.get(cell.task) or margins["default"]}
    found = looks.replay(cell.block, lent_by(pilot, cell.task, settings["outcome"]), rules, until=number)
    if found[-1].look != number:
        raise DataError(
            f"look {number} at {', '.join(cell.key.values())} does not follow from the runs it was given: look "
            f"{found[-1].look} stops the cell; delete the records of its looks to take them again"
        )
    return {**cell.key, "runs": len(runs), **dataclasses.asdict(found[-1])}


def lent_by(pilot: str | None, task: str, outcome: str) -> list[Block]:
    """The blocks of a pilot's cells of this task; none without a pilot."""
    if not pilot:
        return []
    try:
        table = polars.read_csv(pilot, schema_overrides=dict(SCHEMA))
        found = cells(table.filter(polars.col("task") == task), outcome)
    except (polars.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"looks.pilot: {pilot} cannot be read as a runs table ({error}); copy tables/runs.csv of the pilot's study"
        ) from error
    return [cell.block for cell in found]


def read(records: Iterable[str | Path]) -> list[dict[str, Any]]:
    """The records in these files."""
    return [json.loads(Path(path).read_bytes()) for path in records]


def table(records: Iterable[Mapping[str, Any]]) -> polars.DataFrame:
    """The record of looks (LOOKS): one row per cell and look, in their order."""
    rows = [
        {name: record[name] for name in LOOKS if name in record}
        | {"demonstrated": [row["warmup"] for row in record["arms"] if row.get("demonstrated")]}
        for record in records
    ]
    return polars.DataFrame(rows, schema=LOOKS)


def last_of_cells(records: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The last look at each cell."""
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for record in records:
        key = tuple(record[name] for name in CELL)
        if key not in found or record["look"] > found[key]["look"]:
            found[key] = record
    return list(found.values())


def plateaus(
    records: Iterable[Mapping[str, Any]], confidence: float, roles: Mapping[str, str]
) -> tuple[polars.DataFrame, polars.DataFrame]:
    """The plateaus and regrets tables of an adaptive design: what stands after the last look at each cell.

    `confidence` is that of all looks at a cell together. An arm that was dropped keeps the limits it had then; p of the
    reference is not given, since it would be that of one look.
    """
    sets, arms = [], []
    for record in last_of_cells(records):
        rows = sorted(record["arms"], key=lambda row: row["warmup"])
        known = [row for row in rows if row.get("regret_high") is not None]
        head = {name: record[name] for name in CELL}
        one = head | {
            "role": roles.get(record["architecture"], "study"),
            "n": record["n"],
            "confidence": confidence,
            "margin": record["margin"],
            "method": record["method"],
            "possible_best": [row["warmup"] for row in known if row["possible_best"]],
            **{name: record[name] for name in ("recommended", "recommended_high", "reference", "reference_verdict")},
            "state": record["verdict"],
            "projected": record["projected"],
            "still_in": record["opens"]["arms"]
            if record["opens"]
            else [warmup for warmup in record["looked_at"] if warmup not in record["dropped"]],
            "verdict": "ok" if known else CANNOT_SAY,
            "note": record["note"]
            if not known
            else f"look {record['look']}, {record['seeds']} seeds: {record['verdict']}",
        }
        warmups = np.array([row["warmup"] for row in rows])
        for name in ("not_excluded", "demonstrated"):
            one |= ends(name, warmups, np.array([bool(row.get(name)) for row in rows]))
        if known:
            one["whole_grid"] = all(row["not_excluded"] for row in known)
            one["flat"] = all(row["demonstrated"] for row in known)
        sets.append(one)
        arms += [
            head | {name: row.get(name) for name in REGRETS if name not in (*CELL, "note")} | {"note": record["note"]}
            for row in rows
        ]
    return polars.DataFrame(sets, schema=PLATEAUS), polars.DataFrame(arms, schema=REGRETS)


LOOKS: dict[str, polars.DataType] = {
    **{name: SCHEMA[name] for name in CELL},
    "look": polars.Int64(),
    "seeds": polars.Int64(),
    "n": polars.Int64(),
    "runs": polars.Int64(),
    "level": polars.Float64(),
    "extension": polars.Boolean(),
    "looked_at": polars.List(polars.Float64()),
    "dropped": polars.List(polars.Float64()),
    "demonstrated": polars.List(polars.Float64()),
    "margin": polars.Float64(),
    "recommended": polars.Float64(),
    "recommended_high": polars.Float64(),
    "reference": polars.Float64(),
    "reference_verdict": polars.String(),
    "verdict": polars.String(),
    "projected": polars.Float64(),
    "method": polars.String(),
    "note": polars.String(),
}
"""Columns of the record of looks.

`n`: seeds that all arms looked at share; `runs`: of the cell so far; `level`: error rate that the look spent;
`looked_at`, `dropped`, `demonstrated`: warmups; `verdict`: goes on | decided | futile | open at the cap; `projected`:
seeds after which the cell would have its next verdict if what was found so far were true."""
