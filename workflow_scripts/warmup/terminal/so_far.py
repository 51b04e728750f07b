"""Commands for a terminal: a study's counts so far, and its last answer.

    python -m warmup.terminal.so_far --config scale=laptop study=warmup   counts and last look of each cell, the answer
    python -m warmup.terminal.so_far --answer --configfile mine.yaml      the answer alone

Reads finished runs, the records of looks and what the statistics last wrote, while a study runs as well: it decides
nothing and is no look. In an adaptive design the answer is that of the last look at each cell.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from warmup import shipped
from warmup.config import configuration, feasibility, grid, wording
from warmup.errors import UserError
from warmup.statistics.base import budgets, run_folders
from warmup.statistics.base.outcomes import CELL
from warmup.statistics.effect import look_records
from warmup.statistics.words import needed, needed_shown


def main(arguments: Sequence[str]) -> int:
    """Print what is asked for; 1 if the configuration cannot be read."""
    options = argparse.ArgumentParser(description="Counts of a study so far, and its last answer.")
    options.add_argument("--answer", action="store_true", help="the answer alone")
    options.add_argument("--configfile", nargs="+", default=[], type=Path, help="settings over config.yaml")
    options.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", help="settings over all files")
    chosen = options.parse_args(arguments)
    try:
        settings = configuration.effective(_config(chosen.configfile, chosen.config))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if chosen.answer:
        print("\n".join(answer(settings)))
        return 0
    last = look_records.last_of_cells(look_records.read(_study(settings).glob("looks/**/look=*.json")))
    print("\n".join(counts(settings, last)), end="\n\n")
    print("\n".join(answer_of_looks(settings, last) if last else answer(settings)))
    return 0


def _config(files: Sequence[Path], values: Sequence[str]) -> Any:
    """config.yaml, the files and the values, each over what comes before it, as Snakemake reads them."""
    config = yaml.safe_load((shipped.STUDY / "config.yaml").read_text())
    for file in files:
        try:
            config = configuration.merge(config, yaml.safe_load(file.read_text()) or {})
        except (OSError, yaml.YAMLError) as error:
            raise UserError(f"--configfile {file}: {error}") from error
    for value in values:
        key, _, text = value.partition("=")
        config[key] = yaml.safe_load(text)
    return config


def counts(settings: Mapping[str, Any], looks: Sequence[Mapping[str, Any]] = ()) -> Iterator[str]:
    """A line per cell: runs finished of those in the study, how many diverged or collapsed, and the last look at it."""
    taken = {tuple(look[axis] for axis in CELL): look for look in looks}
    cells: dict[tuple[str, str, str], list[str | None]] = {}
    for run in grid.runs(settings):
        status = _status(Path(settings["results"], settings["scale"], "runs", run.folder(), "summary.json"))
        cells.setdefault((run.architecture, run.task, run.recipe), []).append(status)
    rows = [("architecture", "task", "recipe", "finished", "")]
    for cell, found in cells.items():
        there = [status for status in found if status]
        bad = [f"{there.count(status)} {status}" for status in ("diverged", "collapsed") if status in there]
        look = taken.get(cell)
        last = f"look {look['look']}, {look['seeds']} seeds: {look['verdict']}" if look else ""
        rows.append((*cell, f"{len(there)} of {len(found)}", "; ".join(filter(None, (", ".join(bad), last)))))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    yield f"scale {settings['scale']}, study {settings['study']}"
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
    finished = sum(status is not None for found in cells.values() for status in found)
    yield f"{finished} of {sum(map(len, cells.values()))} runs are finished"


def answer(settings: Mapping[str, Any]) -> Iterator[str]:
    """The answer as the statistics last wrote it, and when; a sentence if they have not yet."""
    file = _study(settings) / "answer.txt"
    if not file.exists():
        yield "no answer yet: it is written once all runs are finished"
        return
    written = datetime.fromtimestamp(file.stat().st_mtime)
    yield f"answer of {written:%Y-%m-%d %H:%M}, from {file}:"
    yield ""
    yield file.read_text().rstrip()


def answer_of_looks(settings: Mapping[str, Any], looks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The answer as it stands after the last look at each cell that any was taken at."""
    order = list(dict.fromkeys(run[:3] for run in grid.runs(settings)))
    steps = {cell: feasibility.of_recipe(settings, cell[2])["training"]["steps"] for cell in order}
    looks = sorted(looks, key=lambda look: order.index(tuple(look[axis] for axis in CELL)))
    roles = {name: entry["role"] for name, entry in settings["architectures"].items()}
    tables = look_records.plateaus(looks, settings["statistics"]["confidence"], roles)
    runs = Path(settings["results"], settings["scale"], "runs")
    slopes = budgets.read_slopes(settings["statistics"]["budgets"])
    table = needed.answer(*tables, steps, run_folders.seconds(runs.glob("**/resources.json")), slopes)
    yield f"after the last look at each of {len(looks)} cells:"
    yield ""
    yield needed_shown.text(table, {"labels": wording.labels(settings), "units": wording.units(settings)}).rstrip()


def _study(settings: Mapping[str, Any]) -> Path:
    """Where the tables and the answer of the study lie."""
    return Path(settings["results"], settings["scale"], "studies", settings["study"])


def _status(summary: Path) -> str | None:
    """How a run ended; None if it has not."""
    try:
        return str(json.loads(summary.read_bytes())["status"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError):
        return "unreadable"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
