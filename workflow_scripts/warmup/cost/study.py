"""The bill of a study from its settings: builds each network on the meta device and adds up. Imports torch.

`settings` here is what rule bill's params hold: {"settings": effective settings (the parts a bill needs), "runs": list
of run coordinates, "data": folder of prepared data by task (it need not exist)}.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars

from warmup.cost import bill, expected_data, network
from warmup.errors import ConfigurationError
from warmup.grid import Run


def reckon(choices: Mapping[str, Any]) -> tuple[list[bill.Row], bill.Totals]:
    """Rows and totals. Raises ConfigurationError, naming the key, for a network that cannot be built."""
    settings, runs = choices["settings"], [Run(*run) for run in choices["runs"]]
    networks, notes = {}, {}
    for architecture, task in dict.fromkeys((run.architecture, run.task) for run in runs):
        entry = settings["tasks"][task]
        with expected_data.folder(entry, Path(choices["data"][task])) as (folder, note):
            try:
                networks[architecture, task] = network.measure(settings["architectures"][architecture], entry, folder)
            except ConfigurationError as error:
                raise ConfigurationError(f"architectures.{architecture}.{error} (task {task})") from error
        notes[task] = note
    rows = bill.rows(settings, runs, networks, notes)
    return rows, bill.totals(settings, rows)


def table(rows: list[bill.Row]) -> polars.DataFrame:
    """The rows as a table, one column per field."""
    return polars.DataFrame([asdict(row) for row in rows])


def rows_of(table: polars.DataFrame) -> list[bill.Row]:
    """The rows of a stored table."""
    return [bill.Row(**row) for row in table.iter_rows(named=True)]


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
