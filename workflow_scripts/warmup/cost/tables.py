"""The bill and its comparison as stored tables. No torch, so that the analysis environment reads them."""

from collections.abc import Sequence
from dataclasses import asdict

import polars

from warmup.cost.bill import Row
from warmup.cost.reality import Measured

MEASURED = polars.Schema(
    {
        "architecture": polars.String,
        "task": polars.String,
        "recipe": polars.String,
        "runs": polars.Int64,
        "resumed": polars.Int64,
        "run_hours": polars.Float64,
        "ratio": polars.Float64,
        "utilisation": polars.Float64,
        "memory_gb": polars.Float64,
        "planned_memory_gb": polars.Float64,
    }
)
"""Columns of the comparison, so that it has them without any finished run too."""


def of_bill(rows: Sequence[Row]) -> polars.DataFrame:
    """The rows as a table, one column per field."""
    return polars.DataFrame([asdict(row) for row in rows])


def bill_of(table: polars.DataFrame) -> list[Row]:
    """The rows of a stored table."""
    return [Row(**row) for row in table.iter_rows(named=True)]


def of_measured(rows: Sequence[Measured]) -> polars.DataFrame:
    """The comparison as a table; it has its columns without any row too."""
    return polars.DataFrame([asdict(row) for row in rows], schema=MEASURED)
