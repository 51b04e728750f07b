"""Commands for a terminal: a study's counts so far, and its last answer.

    python -m warmup.terminal.so_far scale=laptop study=warmup            counts of each cell, then the last answer
    python -m warmup.terminal.so_far --answer scale=laptop study=warmup   the answer alone

Reads finished runs and what the statistics last wrote, while a study runs as well: it decides nothing and is no look.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from warmup import shipped
from warmup.config import configuration, grid
from warmup.errors import UserError

ANSWERS = ("answer.txt", "answer.rst", "answers.rst")
"""Files of a study that may hold its answer, the best form for a terminal first."""


def main(arguments: Sequence[str]) -> int:
    """Print what is asked for; 1 if the configuration cannot be read."""
    chosen = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    try:
        settings = configuration.effective({**yaml.safe_load((shipped.STUDY / "config.yaml").read_text()), **chosen})
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if "--answer" not in arguments:
        print("\n".join(counts(settings)))
        print()
    print("\n".join(answer(settings)))
    return 0


def counts(settings: Mapping[str, Any]) -> Iterator[str]:
    """A line per cell: runs finished of those in the study, and how many of them diverged or collapsed."""
    cells: dict[tuple[str, str, str], list[str | None]] = {}
    for run in grid.runs(settings):
        status = _status(Path(settings["results"], settings["scale"], "runs", run.folder(), "summary.json"))
        cells.setdefault((run.architecture, run.task, run.recipe), []).append(status)
    rows = [("architecture", "task", "recipe", "finished", "")]
    for cell, found in cells.items():
        there = [status for status in found if status]
        bad = [f"{there.count(status)} {status}" for status in ("diverged", "collapsed") if status in there]
        rows.append((*cell, f"{len(there)} of {len(found)}", ", ".join(bad)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    yield f"scale {settings['scale']}, study {settings['study']}"
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
    finished = sum(status is not None for found in cells.values() for status in found)
    yield f"{finished} of {sum(map(len, cells.values()))} runs are finished"


def answer(settings: Mapping[str, Any]) -> Iterator[str]:
    """The answer as the statistics last wrote it, and when; a sentence if they have not yet."""
    folder = Path(settings["results"], settings["scale"], "studies", settings["study"])
    file = next((folder / name for name in ANSWERS if (folder / name).exists()), None)
    if file is None:
        yield "no answer yet: it is written once all runs are finished"
        return
    written = datetime.fromtimestamp(file.stat().st_mtime)
    yield f"answer of {written:%Y-%m-%d %H:%M}, from {file}:"
    yield ""
    yield file.read_text().rstrip()


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
