"""The bill of a study from its settings: builds each network on the meta device and adds up. Imports torch.

`settings` here is what rule bill's params hold: {"settings": effective settings (the parts a bill needs), "runs": list
of run coordinates, "data": folder of prepared data by task (it need not exist), "code": digests of the bill's code}.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from warmup import files, registry
from warmup.config.feasibility import of_recipe
from warmup.config.grid import Run
from warmup.cost import bill, expected_data, network, step
from warmup.errors import ConfigurationError
from warmup.provenance import versions
from warmup.tasks._task import Task


def reckon(choices: Mapping[str, Any]) -> tuple[list[bill.Row], bill.Totals]:
    """Rows and totals. Raises ConfigurationError, naming the key, for a network that cannot be built."""
    settings, runs = choices["settings"], [Run(*run) for run in choices["runs"]]
    networks, steps, notes = {}, {}, {}
    cells = {bill.step_key(settings, *run[:3]): run.recipe for run in runs}
    for (architecture, task, batch), recipe in cells.items():
        local = of_recipe(settings, recipe)
        entry, built = local["tasks"][task], settings["architectures"][architecture]
        with expected_data.folder(entry, Path(choices["data"][task])) as (folder, note):
            try:
                networks[architecture, task] = network.measure(built, entry, folder)
                steps[architecture, task, batch] = _steps({**choices, "settings": local}, architecture, task, folder)
            except ConfigurationError as error:
                raise ConfigurationError(f"architectures.{architecture}.{error} (task {task})") from error
            except Exception as error:  # whatever transformers' code may raise without values to look at
                reason = (
                    f"its step cannot run without memory ({type(error).__name__}), so memory and time are too small"
                )
                note = "; ".join(filter(None, [note, reason]))
                counted, size = networks[architecture, task], bill.part(local, architecture, task)
                flops = float(bill.TRAINED * counted.matrix_flops * size)
                precision = settings["training"]["precision"]
                least = step.of_products_alone(counted.parameters, flops, size, precision)
                steps[architecture, task, batch] = [least]
        notes[architecture, task] = note
    rows = bill.rows(settings, runs, networks, steps, notes)
    return rows, bill.totals(settings, rows)


def _steps(choices: Mapping[str, Any], architecture: str, name: str, folder: Path) -> list[step.Step]:
    """The step as configured; where it does not fit, those of smaller micro-batches too, to the first that fits."""
    settings = choices["settings"]
    entry = settings["tasks"][name]
    task: Task = registry.load("tasks", entry["kind"]).Task(entry, folder)
    examples = bill.part(settings, architecture, name)
    found: list[step.Step] = []
    for size in (examples, *bill.smaller_parts(entry["batch_size"], examples)):
        found.append(_remembered(choices, architecture, task, size))
        if bill.fits(settings, found[-1]):
            break
    return found


def _remembered(choices: Mapping[str, Any], architecture: str, task: Task, examples: int) -> step.Step:
    """A step, from the user's cache if the same one was measured by the same code and libraries."""
    settings = choices["settings"]
    built, precision = settings["architectures"][architecture], settings["training"]["precision"]
    key = json.dumps(
        [built, dict(task.settings), task.facts, examples, precision, choices.get("code"), versions.versions()],
        sort_keys=True,
    )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir()) / f"warmup-sweep-steps-{os.getuid()}"
    path = cache / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    if path.exists():
        kept = json.loads(path.read_text())
        return step.Step(**{**kept, "operations": tuple(map(tuple, kept["operations"]))})
    measured = step.measure(built, task, examples, precision)
    if choices.get("code"):
        cache.mkdir(parents=True, exist_ok=True)
        files.write_json(asdict(measured), path)
    return measured
