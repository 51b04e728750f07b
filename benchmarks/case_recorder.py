"""A step of the training loop with everything recorded, against transformers' Trainer doing the same work unrecorded.

GPT-2 at the sizes of models.py; AdamW, cosine after warmup, no clipping, float32. The Trainer's time is taken between
its own callbacks, so that its set-up does not count. Probes are off: what they cost, at the cadence of a run, is the
subject of probes.py.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from transformers import Trainer, TrainerCallback, TrainingArguments

from benchmarks import models
from benchmarks.measure import REPOSITORY, Machine, Row, share_of
from warmup import files, registry
from warmup.config import configuration, grid
from warmup.training import loop

STEPS = 12
"""Steps of a round, after as many unmeasured ones at its start as WARMUPS."""
WARMUPS = 2
STEP_GOAL = 0.9
RECORDER_GOAL = 0.01


def rows(machine: Machine) -> Iterator[Row]:
    """The whole step against the Trainer's; the recorder's own part of our step."""
    with tempfile.TemporaryDirectory() as folder:
        running = our_loop(Path(folder), machine)
        record_seconds: list[float] = []
        timed(running, record_seconds)
        trainer, clock = their_trainer(Path(folder))
        seconds: dict[str, list[float]] = {"training loop, recording": [], "transformers' Trainer": []}
        parts: dict[str, list[float]] = {"norms and buffers": [], "step": []}
        for _ in range(machine.rounds):
            record_seconds.clear()
            ours = our_seconds(running)
            trainer.train()
            seconds["training loop, recording"].append(ours)
            seconds["transformers' Trainer"].append(clock.seconds())
            parts["norms and buffers"].append(statistics.median(record_seconds))
            parts["step"].append(ours)
        yield share_of("GPT-2 step", seconds, *seconds, STEP_GOAL)
        yield share_of("GPT-2 recorder", parts, *parts, RECORDER_GOAL)


def our_loop(folder: Path, machine: Machine) -> loop.Training:
    """The loop of warmup.training on made-up tokens."""
    data = folder / "data"
    data.mkdir()
    for part in ("train", "validation"):
        np.save(data / f"{part}.npy", np.random.default_rng(0).integers(0, 256, 100_000, dtype=np.uint8))
    files.write_json({"vocabulary": {"size": models.VOCABULARY}}, data / "data.json")
    changes = {
        "seeds": 1,
        "training": {"steps": 100_000, "threads": machine.threads},
        "probes": {name: {"enabled": False} for name in registry.names("probes")},
        "tasks": {"language": {"batch_size": models.BATCH, "sequence_length": models.LENGTH}},
        "architectures": {
            "gpt2": {"settings": {"n_embd": models.WIDTH, "n_layer": models.LAYERS, "n_positions": models.LENGTH}}
        },
    }
    shipped = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    settings = configuration.effective(configuration.merge(shipped, changes))
    run = grid.Run("gpt2", "language", "adamw", "0.1", "0")
    torch.set_num_threads(machine.threads)
    return loop.Training({**grid.run_settings(settings, run), "code": {}}, data, torch.device("cpu"))


def timed(running: loop.Training, seconds: list[float]) -> None:
    """Let the loop's recorder note how long each of its calls takes."""
    record = running.recorder.record

    def noted(step: int, loss: torch.Tensor) -> None:
        started = time.perf_counter()
        record(step, loss)
        seconds.append(time.perf_counter() - started)

    running.recorder.record = noted  # type: ignore[method-assign]


def our_seconds(running: loop.Training) -> float:
    """Seconds of a step, mean over a round."""
    for _ in range(WARMUPS):
        running.update()
    started = time.perf_counter()
    for _ in range(STEPS):
        running.update()
    return (time.perf_counter() - started) / STEPS


class Clock(TrainerCallback):
    """Times at which the Trainer's steps end."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.ends.clear()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(time.perf_counter())

    def seconds(self) -> float:
        """Seconds of a step, mean over the measured steps of the last training."""
        return (self.ends[-1] - self.ends[WARMUPS - 1]) / (len(self.ends) - WARMUPS)


def their_trainer(folder: Path) -> tuple[Trainer, Clock]:
    """transformers' Trainer with the same model, batches, optimiser and schedule; no logging, no saving."""
    examples = [{"input_ids": row, "labels": row} for step in range(STEPS + WARMUPS) for row in models.tokens(step)]
    options = TrainingArguments(
        output_dir=str(folder / "trainer"),
        per_device_train_batch_size=models.BATCH,
        max_steps=STEPS + WARMUPS,
        learning_rate=1e-4,
        weight_decay=0.1,
        lr_scheduler_type="cosine",
        warmup_steps=WARMUPS,
        max_grad_norm=0.0,
        optim="adamw_torch",
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
    )
    clock = Clock()
    return Trainer(model=models.build("gpt2"), args=options, train_dataset=examples, callbacks=[clock]), clock
