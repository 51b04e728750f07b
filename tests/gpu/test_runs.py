"""Runs that are stopped and go on, and two that share one card. Written without a card; never run."""

import json
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import polars
import pytest

from warmup.cluster import devices
from warmup.training import loop

TOLERANCE = 1e-2
"""Largest relative difference of early losses of a run that went on: backward passes add by atomics."""


def operation(folder: Path) -> loop.Operation:
    return loop.Operation(folder, checkpoint_minutes=60, checkpoint_steps=5, progress_seconds=10)


def test_a_stopped_run_goes_on_within_the_tolerance(run_settings: Any, prepared: Path, tmp_path: Path) -> None:
    settings = run_settings(training={"device": "cuda"})
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    loop.run(settings, prepared / "language", tmp_path / "whole", operation(tmp_path / "checkpoints"))
    timer = threading.Timer(5.0, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    try:
        loop.run(settings, prepared / "language", tmp_path / "stopped", operation(tmp_path / "others"))
    except SystemExit as stopped:
        assert stopped.code == 128 + signal.SIGTERM
        loop.run(settings, prepared / "language", tmp_path / "stopped", operation(tmp_path / "others"))
    finally:
        timer.cancel()
    logs = [polars.read_parquet(tmp_path / name / "log.parquet")["loss"] for name in ("whole", "stopped")]
    assert float((logs[0] / logs[1] - 1).abs().head(20).max()) < TOLERANCE
    assert json.loads((tmp_path / "stopped" / "summary.json").read_text())["status"] == "finished"


def _hold(folder: str, seconds: float, times: Any) -> None:
    with devices.lease(Path(folder)):
        started = time.time()
        time.sleep(seconds)
        times.put((started, time.time()))


def test_two_processes_take_one_card_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    spawn = multiprocessing.get_context("spawn")
    times: Any = spawn.Queue()
    both = [spawn.Process(target=_hold, args=(str(tmp_path), 2.0, times)) for _ in range(2)]
    for process in both:
        process.start()
    first, second = sorted(times.get(timeout=120) for _ in both)
    assert first[1] <= second[0]
