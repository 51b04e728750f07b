"""Trainings of one's own model outside Snakemake: data prepared once, runs side by side, finished ones kept.

In: effective settings, the runs wanted, a folder. Out: the folders of the runs (their files as in a study).
"""

import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from warmup.config import grid
from warmup.config.grid import Run
from warmup.data import preparation
from warmup.provenance import closure, differences
from warmup.training.order import Order, carry_out

PROGRESS_SECONDS = 5.0
"""Between the lines in which a training says how far it is."""


def train(
    settings: Mapping[str, Any], runs: Sequence[Run], folder: Path, stop_after: int | None = None, workers: int = 2
) -> list[Path]:
    """Folders of `runs`, in order; those that `folder` holds already, of the same code and settings, are not trained.

    `stop_after`: steps after which each stops (a probe run). A run's UserError is raised here.
    """
    orders = [_order(settings, run, folder, stop_after) for run in runs]
    places = [Path(order.folder) for order in orders]
    wanted = [order for order, place in zip(orders, places, strict=True) if not _finished(place, order)]
    for task in dict.fromkeys(run.task for run in runs):
        data, asked = folder / "data" / task, grid.data_settings(settings, task)
        mark = data.with_name(f"{task}.json")
        if not (data / "data.json").is_file() or not mark.is_file() or json.loads(mark.read_text()) != _plain(asked):
            preparation.prepare(asked, data, asked["tokens_needed"])
            mark.write_text(json.dumps(_plain(asked)))
    began, done = time.monotonic(), 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(wanted)) or 1, context, initializer=_speak) as pool:
        for future in as_completed([pool.submit(carry_out, order, "cold") for order in wanted]):
            future.result()
            done += 1
            left = (time.monotonic() - began) / done * (len(wanted) - done)
            print(f"{done} of {len(wanted)} runs, {left:.0f} s left", file=sys.stderr)
    return places


def seconds(place: Path) -> float:
    """What a finished run took, without the imports of its process."""
    return float(json.loads((place / "resources.json").read_text())["seconds"])


def _order(settings: Mapping[str, Any], run: Run, folder: Path, stop_after: int | None) -> Order:
    told: dict[str, Any] = dict(grid.run_settings(settings, run))
    if stop_after is not None:
        told["stop_after"] = stop_after
    told["code"] = closure.code("warmup/training/loop.py", grid.run_choices(settings, run))
    kind = "runs" if stop_after is None else "probes"
    return Order(
        settings=told,  # type: ignore[arg-type]
        data=str(folder / "data" / run.task),
        folder=str(folder / kind / run.folder()),
        checkpoints=str(folder / "checkpoints"),
        checkpoint_minutes=5.0,
        checkpoint_steps=None,
        progress_seconds=PROGRESS_SECONDS,
    )


def _finished(place: Path, order: Order) -> bool:
    """Whether the run in `place` is the one that is ordered."""
    try:
        summary = json.loads((place / "summary.json").read_text())
    except (OSError, ValueError):
        return False
    made_from = {**summary["settings"], "code": summary["code"]}
    return differences.fingerprint(made_from) == differences.fingerprint(_plain(order.settings))


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _speak() -> None:
    """A worker's messages go to standard error, and it ends with its parent."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    logging.basicConfig(level=logging.INFO, format=f"run {os.getpid()}: %(message)s", stream=sys.stderr, force=True)
    for noisy in ("httpx", "transformers", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def _end_with(parent: int) -> None:
    """Once the parent is gone: SIGTERM to this process until it ends; a training keeps its checkpoint first."""
    while True:
        time.sleep(1.0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
