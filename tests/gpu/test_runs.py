"""Runs that are stopped and go on, and two that share one card. Written without a card; never run on one."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars
import pytest

from warmup.cluster import devices
from warmup.training import loop

TOLERANCE = {"cuda": 1e-2, "cpu": 0.0}
"""Largest relative difference of the losses of a run that went on: on a card backward passes add by atomics."""

STOPPED_AFTER = 7


def operation(folder: Path) -> loop.Operation:
    return loop.Operation(folder, checkpoint_minutes=60, checkpoint_steps=5, progress_seconds=10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("architecture", ["gpt2", "mamba", "jamba", "rwkv"])
def test_a_stopped_run_goes_on_within_the_tolerance(
    architecture: str,
    number: signal.Signals,
    run_settings: Callable[..., Any],
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
) -> None:
    settings = run_settings(architecture, training={"device": device})
    loop.run(settings, prepared / "language", tmp_path / "whole", operation(tmp_path / "checkpoints"))
    update = loop.Training.update

    def then_stop(training: loop.Training) -> None:
        update(training)
        if training.step == STOPPED_AFTER:
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patched, pytest.raises(SystemExit) as stopped:
        patched.setattr(loop.Training, "update", then_stop)
        loop.run(settings, prepared / "language", tmp_path / "stopped", operation(tmp_path / "others"))
    assert stopped.value.code == 128 + number
    newest = max((tmp_path / "others").glob("*/step-*.checkpoint"))
    assert newest.name == f"step-{STOPPED_AFTER:08d}.checkpoint"
    loop.run(settings, prepared / "language", tmp_path / "stopped", operation(tmp_path / "others"))

    whole, gone_on = (polars.read_parquet(tmp_path / name / "log.parquet")["loss"] for name in ("whole", "stopped"))
    assert len(whole) == len(gone_on) == settings["training"]["steps"]
    assert float((whole / gone_on - 1).abs().max()) <= TOLERANCE[device]
    sessions = json.loads((tmp_path / "stopped" / "resources.json").read_text())["sessions"]
    assert [session["last_step"] for session in sessions] == [STOPPED_AFTER, len(whole)]


def _hold(folder: str, seconds: float, times: Any) -> None:
    with devices.lease(Path(folder)):
        started = time.time()
        time.sleep(seconds)
        times.put((started, time.time()))


def test_two_processes_take_one_card_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    spawn = multiprocessing.get_context("spawn")
    times: Any = spawn.Queue()
    both = [spawn.Process(target=_hold, args=(str(tmp_path), 1.0, times)) for _ in range(2)]
    for process in both:
        process.start()
    first, second = sorted(times.get(timeout=120) for _ in both)
    assert first[1] <= second[0]
