"""The bill of a study from its settings: builds each network on the meta device and adds up. Imports torch.

`settings` here is what rule bill's params hold: {"settings": effective settings (the parts a bill needs), "runs": list
of run coordinates, "data": folder of prepared data by task (it need not exist)}.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warmup.config.grid import Run
from warmup.cost import bill, expected_data, network
from warmup.errors import ConfigurationError


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
