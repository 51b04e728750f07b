"""A small adaptive sweep of one's own model within a time: looks drop warmups, and it stops when it is decided.

In: settings, a cell, minutes. Out: the record of the last look that the time allowed (`statistics.effect.looks`).
"""

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from warmup.advice import short_runs
from warmup.config import grid
from warmup.statistics.base import outcomes
from warmup.statistics.effect import looks


def sweep(settings: Mapping[str, Any], cell: tuple[str, str, str], folder: Path, minutes: float) -> dict[str, Any]:
    """The last look's record, with `runs` trained, `minutes` that they took, and `stopped`: why no further look."""
    began, workers = time.monotonic(), 2
    asked = {
        "looks": settings["looks"],
        "confidence": settings["statistics"]["confidence"],
        "reference": settings["statistics"]["reference"],
        "margin": settings["statistics"]["margins"].get(cell[1]) or settings["statistics"]["margins"]["default"],
    }
    arms = [float(warmup) for warmup in settings["warmups"]]
    first, seeds, number = int(settings["first_seed"]), settings["looks"]["seeds"][0], 1
    places: dict[grid.Run, Path] = {}
    record: looks.Record | None = None
    each: float | None = None  # seconds of a training, of those side by side
    start_up = 0.0
    while True:
        wanted = [
            grid.Run(*cell, grid.warmup_label(arm), str(seed)) for arm in arms for seed in range(first, first + seeds)
        ]
        new = [run for run in wanted if run not in places]
        spent = time.monotonic() - began
        needed = None if each is None else start_up + len(new) * each
        if needed is not None and spent + needed > 60 * minutes:
            why = f"look {number} would take {needed / 60:.1f} more minutes"
            break
        if each is None:  # one run says what the others take
            places |= dict(zip(new[:1], short_runs.train(settings, new[:1], folder), strict=True))
            alone = short_runs.seconds(places[new[0]])
            each, start_up = alone / workers, max(0.0, time.monotonic() - began - alone)
            continue
        start = time.monotonic()
        print(f"look {number}: {len(new)} runs at warmups {', '.join(f'{arm:g}' for arm in arms)}", file=sys.stderr)
        places |= dict(zip(new, short_runs.train(settings, new, folder, workers=workers), strict=True))
        each = max(0.0, time.monotonic() - start - start_up) / max(1, len(new))
        table = outcomes.runs_table(place / "summary.json" for place in places.values())
        (block,) = [found.block for found in outcomes.cells(table, settings["statistics"]["outcome"])]
        record = looks.replay(block, [], asked, until=number)[-1]
        if record.opens is None:
            why = record.verdict
            break
        number, arms, seeds = record.opens["look"], [float(arm) for arm in record.opens["arms"]], record.opens["seeds"]
    found = {} if record is None else asdict(record)
    return {**found, "runs": len(places), "minutes": (time.monotonic() - began) / 60, "stopped": why}
