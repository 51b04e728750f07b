"""The bill against reality: what finished runs took, beside what was reckoned for them. No torch.

In: the bill and the resources.json of finished runs. Out: one row per cell that has any. The time of a run that was
resumed is that of all its sessions.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from warmup.config.feasibility import of_recipe
from warmup.cost.bill import Row, device


@dataclass(frozen=True)
class Measured:
    """One cell: what its finished runs took."""

    architecture: str
    task: str
    recipe: str
    runs: int
    """Finished ones."""
    resumed: int
    """Those of them that were interrupted at least once."""
    run_hours: float
    """Median."""
    ratio: float
    """Median time over the reckoned one: 2 means that the bill is twice too small."""
    utilisation: float
    """Share of the device's peak that the runs reached (model FLOPs utilisation)."""
    memory_gb: float | None
    """Largest on the GPU; null on a CPU."""
    planned_memory_gb: float


def compare(
    settings: Mapping[str, Any], bill: Iterable[Row], files: Mapping[tuple[str, str, str], list[Path]]
) -> list[Measured]:
    """Measured rows of the cells that `files` (resources.json by architecture, task, recipe) has finished runs of."""
    found = []
    for row in bill:
        facts = [json.loads(path.read_text()) for path in files.get((row.architecture, row.task, row.recipe), [])]
        if not facts:
            continue
        seconds = median(entry["seconds"] for entry in facts)
        peaks = [entry["peak_gpu_memory_mb"] for entry in facts if entry["peak_gpu_memory_mb"] is not None]
        steps = of_recipe(settings, row.recipe)["training"]["steps"]
        found.append(
            Measured(
                architecture=row.architecture,
                task=row.task,
                recipe=row.recipe,
                runs=len(facts),
                resumed=sum(len(entry["sessions"]) > 1 for entry in facts),
                run_hours=seconds / 3600,
                ratio=seconds / 3600 / row.run_hours,
                utilisation=row.flops_per_step * steps / seconds / _peak(settings),
                memory_gb=max(peaks) * 2**20 / 1e9 if peaks else None,
                planned_memory_gb=row.memory_gb,
            )
        )
    return found


def _peak(settings: Mapping[str, Any]) -> float:
    training = settings["training"]
    lanes = training["threads"] if training["device"] == "cpu" else 1
    return float(device(settings)["peak_flops"][training["precision"]] * lanes)
