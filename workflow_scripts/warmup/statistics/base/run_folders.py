"""What a run's folder says of itself, for the statistics that read logs.

In: a folder with `summary.json`, `log.parquet`, `attention.parquet` (a run, or a probe run, which has no warmup level).
Out: its coordinates and the few facts of its summary that the statistics need.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from warmup.errors import DataError


@dataclass(frozen=True)
class RunFolder:
    """One run: where it lies, its coordinates, its planned `steps` (a probe run stops before them), how it ended."""

    path: Path
    architecture: str
    task: str
    recipe: str
    warmup: float
    seed: int
    steps: int
    status: str
    settings: Mapping[str, Any]

    @property
    def coordinates(self) -> dict[str, Any]:
        """The columns that name this run in every table."""
        names = ("architecture", "task", "recipe", "warmup", "seed")
        return {name: getattr(self, name) for name in names}

    @property
    def log(self) -> Path:
        """One row per optimiser step."""
        return self.path / "log.parquet"

    @property
    def attention(self) -> Path:
        """Rows of the probes."""
        return self.path / "attention.parquet"


def read(folder: str | Path) -> RunFolder:
    """The run in `folder`; DataError names the file that is missing or does not have the keys of a summary."""
    path = Path(folder)
    summary = path / "summary.json"
    try:
        content = json.loads(summary.read_text())
        where = content["coordinates"]
        return RunFolder(
            path=path,
            architecture=where["architecture"],
            task=where["task"],
            recipe=where["recipe"],
            warmup=float(where.get("warmup", 0)),
            seed=int(where["seed"]),
            steps=int(content["settings"]["training"]["steps"]),
            status=content["status"],
            settings=content["settings"],
        )
    except FileNotFoundError:
        raise DataError(f"{summary}: missing; a run's folder has its summary beside its log") from None
    except (KeyError, ValueError) as error:
        raise DataError(f"{summary}: not the summary of a run ({type(error).__name__}: {error})") from None


def seconds(resources: Iterable[str | Path]) -> dict[tuple[str, str, str], float]:
    """Median time of one training of each (architecture, task, recipe), from `resources.json` files of runs."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for path in map(Path, resources):
        axes = dict(part.split("=", 1) for part in path.parent.parts if "=" in part)
        cell = (axes["architecture"], axes["task"], axes["recipe"])
        found.setdefault(cell, []).append(float(json.loads(path.read_bytes())["seconds"]))
    return {cell: median(taken) for cell, taken in found.items()}
