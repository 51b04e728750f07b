"""A hundred SIGKILLs at random moments of trainings: every run ends in the bytes of an undisturbed one."""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from warmup.config import grid
from warmup.training import loop
from warmup.training.checkpoint_folders import LAST, digest

KILLS_PER_ARCHITECTURE = 15
CHECKPOINT_STEPS = 3


RECIPES: dict[str, dict[str, Any]] = {
    "adamw": {},
    "muon": {"optimizer": "muon"},
    "lion": {"optimizer": "lion"},
    "all but routers": {"warmup_excludes": ["routers"]},
}


BRANCH = "branch"
"""A run that continues another one, whose kept checkpoint no kill may touch."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "recipe"),
    [
        *((name, "adamw") for name in ("gpt2", "mamba", "jamba", "rwkv")),
        *(("jamba", recipe) for recipe in ("muon", "lion", "all but routers")),
        *((name, BRANCH) for name in ("gpt2", "mamba")),
    ],
)
def test_killed_anywhere_a_run_ends_in_the_same_bytes(
    architecture: str, recipe: str, run_settings: Callable[..., dict[str, Any]], prepared: Path, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    settings = run_settings(architecture, warmup="0.25")
    settings["recipe"] |= RECIPES.get(recipe, {})
    data = prepared / "language"
    if recipe == BRANCH:
        settings = branch_of(settings, data, tmp_path / "trunk")
    whole, struck = tmp_path / "whole", tmp_path / "struck"
    seconds = timed(lambda: train(settings, data, whole))
    seconds = min(seconds, timed(lambda: train(settings, data, tmp_path / "again")))
    moments = random.Random(f"{architecture}{recipe}")
    for kill in range(KILLS_PER_ARCHITECTURE):
        before = newest(struck)
        child = forked(lambda: train(settings, data, struck))
        late = kill % 3 == 0  # around the last steps and the final write
        time.sleep(moments.uniform(0.8 * seconds, 1.3 * seconds) if late else moments.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        after = newest(struck)
        if (struck / "run" / "summary.json").exists() and not list((struck / "checkpoints").glob("*/step-*")):
            assert_equal(struck / "run", whole / "run")  # it had finished: strike a new run
            (struck / "run" / "summary.json").unlink()
        else:
            assert after >= before, "a kill lost a checkpoint"
    train(settings, data, struck)
    assert_equal(struck / "run", whole / "run")
    assert list((struck / "checkpoints").iterdir()) == [], "a lock or checkpoint was left behind"
    assert not [file for file in (struck / "run").iterdir() if file.name not in grid.RUN_FILES]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_preempted_run_checkpoints_and_says_so_by_its_exit_code(
    number: signal.Signals, run_settings: Callable[..., dict[str, Any]], prepared: Path, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    settings = run_settings("gpt2", training={"steps": 5000})
    data = prepared / "language"
    child = forked(lambda: train(settings, data, tmp_path, checkpoint_steps=None))
    lock = None
    while lock is None:  # the handlers stand once the lock is held
        lock = next((tmp_path / "checkpoints").glob("*/lock"), None) if (tmp_path / "checkpoints").exists() else None
        time.sleep(0.05)
    time.sleep(1)
    os.kill(child, number)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + number
    assert newest(tmp_path) > 0
    assert not (tmp_path / "run").exists()


def train(settings: dict[str, Any], data: Path, folder: Path, checkpoint_steps: int | None = CHECKPOINT_STEPS) -> None:
    operation = loop.Operation(folder / "checkpoints", 10, checkpoint_steps, 60)
    loop.run(settings, data, folder / "run", operation, folder.parent / "trunk/run" / LAST)


def branch_of(settings: dict[str, Any], data: Path, folder: Path) -> dict[str, Any]:
    """Settings of a run that continues a training by `settings`, which leaves its last checkpoint in `folder`."""
    trunk = {**settings, "keep_last": True}
    train(trunk, data, folder)
    continues = {"task": "language", "recipe": "adamw", "warmup": "0.25", "optimizer": "kept"}
    before = settings["training"]["steps"]
    return {**settings, "continues": {**continues, "updates_before": before, "trunk": digest(trunk)}}


def forked(work: Callable[[], None]) -> int:
    """Process number of a child that does `work` (libraries are loaded already, so that kills fall on training)."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(code)


def timed(work: Callable[[], None]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def newest(folder: Path) -> int:
    """Step of the newest checkpoint, 0 if there is none."""
    steps = [int(file.stem.removeprefix("step-")) for file in folder.glob("checkpoints/*/step-*.checkpoint")]
    return max(steps, default=0)


def assert_equal(struck: Path, whole: Path) -> None:
    for name in grid.RUN_FILES:
        if name != "resources.json":
            assert (struck / name).read_bytes() == (whole / name).read_bytes(), name
    sessions = json.loads((struck / "resources.json").read_text())["sessions"]
    assert [0, *(one["last_step"] for one in sessions[:-1])] == [one["first_step"] for one in sessions]
