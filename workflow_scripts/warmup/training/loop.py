"""One training, from prepared data to the files of a run: exact, recorded at every step, resumable anywhere.

Batches, initial weights and dropout are pure functions of (task, seed, step), so a checkpoint holds only weights,
optimiser state and the rows recorded so far, and an interrupted run ends in the same bytes as an uninterrupted one. (On
CUDA to rounding: backward passes of the selective scan and of flash attention add in an order that changes.)
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from warmup import kernels, probes, registry, schedules
from warmup.architectures import model, roles, warmup_roles
from warmup.cluster import devices
from warmup.errors import EnvironmentProblemError
from warmup.provenance import versions
from warmup.random_streams import torch_seed
from warmup.tasks._task import Task
from warmup.training import recording, startup, trunks
from warmup.training.checkpoints import Store, Writer
from warmup.training.exhausted import out_of_memory_explained
from warmup.training.order import Operation
from warmup.training.progress import Progress
from warmup.training.sessions import Sessions

if TYPE_CHECKING:
    from warmup.settings import RunSettings

FINITE_CHECK_STEPS = 50
"""On a GPU the loss is looked at this often, so that steps need no synchronisation; rows after a NaN are dropped."""

logger = logging.getLogger("warmup")


def run(settings: RunSettings, data: Path, folder: Path, operation: Operation, trunk: Path | None = None) -> None:
    """Train the run that `settings` (grid.run_settings and code digests) describe and write its files into `folder`.

    trunk: the last checkpoint of the run that this one continues, if the settings say so.
    Raises EnvironmentProblemError for a missing device, a full disk, too little memory or a second writer.
    Ends the process with 128 + signal number, checkpoint written, on SIGTERM and SIGINT.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    store = Store(operation.checkpoints, settings)
    with _device(settings) as device, store.locked(), startup.Signals() as signals:
        with out_of_memory_explained(settings), Writer(store) as writer:
            with startup.no_collection():  # the model's modules are imported here
                training = Training(settings, data, device)
            saved = store.load()
            if saved is not None:
                training.restore(saved[1])
                saved = None  # a model's worth of memory
                logger.info("resumed after step %d of %d", training.step, training.last)
            elif "continues" in settings:
                trunks.begin(training, trunk, settings["continues"])
            _loop(training, writer, operation, signals)
        if torch.cuda.is_available() and device.type == "cuda":
            torch.cuda.synchronize()
        try:
            _finish(training, folder, operation.start)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            with suppress(EnvironmentProblemError):  # the checkpoints may stand on the same full disk
                store.save(training.step, training.state())
            raise EnvironmentProblemError(
                f"no room for the files of the run in {folder}: free some and start again; training goes on from its "
                f"last checkpoint in {store.folder}"
            ) from error
        store.remove()


class Training:
    """Model, optimiser and records of one run, advanced one step at a time."""

    def __init__(self, settings: RunSettings, data: Path, device: torch.device) -> None:
        self.sessions = Sessions()
        self.settings = settings
        self.options = settings["training"]
        self.recipe = settings["recipe"]
        self.device = device
        self.seed = int(settings["coordinates"]["seed"])
        self.before = trunks.updates_before(settings)
        self.steps = int(self.options["steps"])
        self.last = min(self.steps, int(settings.get("stop_after") or self.steps))
        model_type = settings["architecture"]["model_type"]
        for kernel in kernels.install(device.type, int(self.options["threads"]), model_type):
            logger.info("kernel: %s", kernel)
        self.task: Task = registry.load("tasks", settings["task"]["kind"]).Task(settings["task"], data)
        self.model = model.build(settings["architecture"], self.task, self.seed).to(device)
        self.model.train()
        self.forward = torch.compile(self.model) if self.options["compile"] else self.model
        optimizer = registry.load("optimizers", self.recipe["optimizer"])
        told_apart = schedules.differ(self.recipe) or getattr(optimizer, "BY_WARMUP_ROLE", False)
        by_role = warmup_roles.warmup_roles(self.model) if told_apart else {}
        for missing in warmup_roles.refuse_missing(self.recipe, set(by_role.values())) if told_apart else []:
            logger.info("warmup by role: this network has no %s, so nothing of it is warmed or left out", missing)
        groups = roles.parameter_groups(self.model, float(self.recipe["weight_decay"]), by_role or None)
        self.optimizer: torch.optim.Optimizer = optimizer.create(groups, self.recipe)
        warmup_steps = int(settings["warmup_steps"])
        self.rates = schedules.learning_rates(self.recipe, self.steps, warmup_steps)
        self.role_rates = schedules.role_rates(self.recipe, self.rates, warmup_steps, sorted(set(by_role.values())))
        self.recorder = recording.Recorder(self.model, self.last, device)
        self.probes = probes.build(
            settings["probes"],
            model=self.model,
            task=self.task,
            probe_batch=self.to_device(next(self.task.validation())),
            steps=self.steps,
            micro_batch=self.options["micro_batch"],
            arithmetic=self.arithmetic,
        )
        even, early = int(self.options["evaluations"]), int(self.options["early_evaluations"])
        self.evaluation_steps = set(recording.spaced(self.steps, even, early)) | {self.last}
        self.has_dropout = any(
            isinstance(part, torch.nn.Dropout) and part.p > 0 for part in self.model.modules()
        ) or any("drop" in key and value for key, value in settings["architecture"]["settings"].items())
        self.before_step: list[Callable[[], None]] = [
            part.advance_sigma  # type: ignore[misc]
            for part in self.model.modules()
            if hasattr(part, "advance_sigma")
        ]
        self.look_steps = 1 if device.type == "cpu" else FINITE_CHECK_STEPS
        self.step = 0
        self.diverged = False
        self.initial_loss: float | None = None
        self._checked = 0
        self._upcoming: tuple[int, tuple[Tensor, Tensor]] | None = None

    @property
    def done(self) -> bool:
        """Whether there is nothing left to train."""
        return self.diverged or self.step >= self.last

    def update(self) -> None:
        """One step: batch, forward, backward, record, update; then whatever is due after it."""
        step = self.step
        batch = self.batch(step)
        if self.has_dropout:
            torch.manual_seed(torch_seed("dropout", self.seed, self.before + step))
        for advance in self.before_step:
            advance()
        loss = self._backward(batch)
        self._upcoming = None if step + 1 >= self.last else (step + 1, self._drawn(step + 1))
        self.recorder.record(step, loss)
        self.step = step + 1
        probing = self.probes.due(step)
        looking = self.step % self.look_steps == 0 or self.step >= self.last
        if (looking or probing or self.step in self.evaluation_steps) and self.not_finite():
            return
        if probing:
            self.probes.before_update(step, batch)
        if self.recipe["clip"] is not None:
            self.recorder.clip(step, float(self.recipe["clip"]))
        rate = float(self.rates[step])
        for group in self.optimizer.param_groups:
            group["lr"] = float(self.role_rates[group["warmup_role"]][step]) if self.role_rates else rate
        self.optimizer.step()
        if probing:
            self.recorder.probes += self.probes.after_update(step, batch, self.optimizer, rate)
        self.optimizer.zero_grad(set_to_none=True)
        if self.step in self.evaluation_steps:
            self.evaluate()

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of `step` on the device, prepared ahead while the device was busy if this is the next one."""
        if self._upcoming is not None and self._upcoming[0] == step:
            return self._upcoming[1]
        return self._drawn(step)

    def _drawn(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of `step` on the device; those of a branch are the ones that its trunk would have come to next."""
        return self.to_device(self.task.batch(self.seed, self.before + step))

    def to_device(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """A batch on the training device, copied asynchronously to a GPU."""
        if self.device.type == "cpu":
            return batch
        inputs, targets = (part.pin_memory().to(self.device, non_blocking=True) for part in batch)
        return inputs, targets

    def evaluate(self) -> None:
        """Validate and keep the row; a validation loss that is not finite ends the run as diverged."""
        modes = [getattr(self.optimizer, mode, None) for mode in ("eval", "train")]
        self.model.eval()
        if modes[0] is not None:
            modes[0]()
        sums, count = torch.zeros(2, dtype=torch.float64, device=self.device), 0  # looked at once, after all batches
        of_examples: list[Tensor] = []
        with torch.no_grad():
            for inputs, targets in self._validation():
                with self.arithmetic():
                    outputs = self.forward(inputs)
                    loss, each = self.task.losses(outputs, targets)
                    both = torch.stack([loss, self.task.measure(outputs, targets, loss)])
                sums += both.double() * len(inputs)
                count += len(inputs)
                of_examples.append(each)
        total, measured = sums.tolist()
        self.model.train()
        if modes[1] is not None:
            modes[1]()
        mean = total / count
        metric = self.task.metric_of(measured / count) if math.isfinite(measured) else math.nan
        row = {"step": self.step, "loss": mean, self.task.metric: metric}
        self.recorder.validated(row, torch.cat(of_examples).cpu(), self.task.validation_stretches)
        self.diverged = self.diverged or not math.isfinite(mean)

    def _validation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Validation batches on the device, none larger than the parts that a training batch is taken in."""
        for batch in self.task.validation():
            size = self.options["micro_batch"] or len(batch[0])
            for inputs, targets in zip(batch[0].split(size), batch[1].split(size), strict=True):
                yield self.to_device((inputs, targets))

    def arithmetic(self) -> Any:
        """Autocast to bfloat16 if the configuration says so."""
        if self.options["precision"] == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "recorder": self.recorder.state(),
            "diverged": self.diverged,
            "initial_loss": self.initial_loss,
            "sessions": self.sessions.until(self.step),
        }

    @property
    def untrained_loss(self) -> float:
        """Training loss at the first step, of a branch that of its trunk."""
        return float(self.recorder.losses[0]) if self.initial_loss is None else self.initial_loss

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.recorder.restore(state["recorder"])
        self.step = self._checked = int(state["step"])
        self.diverged, self.initial_loss = bool(state["diverged"]), state["initial_loss"]
        self.sessions.resume(state["sessions"], self.step)

    def status(self) -> str:
        """finished | diverged | collapsed (the loss stayed at its plateau without NaN)."""
        if self.diverged:
            return "diverged"
        final = self.recorder.final_training_loss(self.step)
        stuck = final is not None and final > float(self.options["collapse_share"]) * self.untrained_loss
        return "collapsed" if stuck and self.last == self.steps else "finished"

    def _backward(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Gradients of the batch's mean loss, whole or accumulated over micro-batches; the loss, detached."""
        size = self.options["micro_batch"]
        if size is None:
            return self._part(*batch, share=None)
        inputs, targets = batch
        parts = zip(inputs.split(size), targets.split(size), strict=True)
        return torch.stack([self._part(*part, share=len(part[0]) / len(inputs)) for part in parts]).sum()

    def _part(self, inputs: Tensor, targets: Tensor, share: float | None) -> Tensor:
        with self.arithmetic():
            loss = self.task.loss(self.forward(inputs), targets)
        if share is not None:
            loss = loss * share
        loss.backward()
        return loss.detach()

    def not_finite(self) -> bool:
        """Look for a loss that is not finite since the last look; if there is one the run ends there, as diverged.

        At every step on a CPU; on a GPU now and then, and before anything is kept: a validation, a probe, a checkpoint.
        """
        bad = self.recorder.first_not_finite(self._checked, self.step)
        self._checked = self.step
        if bad is None:
            return False
        logger.warning("loss is not finite at step %d: the run ends as diverged", bad)
        self.step = bad + 1
        self.recorder.evaluations = [row for row in self.recorder.evaluations if row["step"] <= bad]
        self.recorder.probes = [row for row in self.recorder.probes if row["step"] < bad]
        self.diverged = True
        return True


@contextmanager
def _device(settings: RunSettings) -> Iterator[torch.device]:
    """The training device, set up; a GPU is leased first, so that jobs on one machine do not share one."""
    options = settings["training"]
    torch.set_num_threads(int(options["threads"]))
    if options["device"] == "cpu":
        yield torch.device("cpu")
        return
    with devices.lease():
        if not torch.cuda.is_available():
            raise EnvironmentProblemError(
                "training.device is cuda, but this machine has no usable NVIDIA GPU or this PyTorch was built without "
                "CUDA; see docs/cluster.md, or set training.device to cpu"
            )
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        yield torch.device("cuda")


def _loop(training: Training, writer: Writer, operation: Operation, signals: startup.Signals) -> None:
    if not training.recorder.evaluations:
        training.evaluate()
    progress = Progress(training, operation.progress_seconds)
    saved_at, saved_step = time.monotonic(), training.step
    while not training.done:
        training.update()
        writer.raise_failure()
        progress.say()
        due_by_step = (
            operation.checkpoint_steps is not None and training.step - saved_step >= operation.checkpoint_steps
        )
        due_by_time = time.monotonic() - saved_at >= 60 * operation.checkpoint_minutes
        stopping = signals.received is not None
        if not training.done and (due_by_step or due_by_time or stopping) and not training.not_finite():
            writer.save(training.step, training.state())
            saved_at, saved_step = time.monotonic(), training.step
        if stopping and not training.done:
            writer.wait()
            name = signal.Signals(int(signals.received or 0)).name
            logger.info("%s: checkpoint written after step %d, stopping", name, training.step)
            sys.exit(128 + int(signals.received or 0))
    progress.say(last=True)


def _finish(training: Training, folder: Path, start: str) -> None:
    """Write the files of the run."""
    settings, recorder = training.settings, training.recorder
    made_with = versions.versions()
    metadata = {
        "coordinates": json.dumps(settings["coordinates"], sort_keys=True),
        "settings": json.dumps(settings, sort_keys=True),
        "versions": json.dumps(made_with, sort_keys=True),
    }
    tables = {
        "log.parquet": recorder.log(training.rates, training.step, metadata, training.role_rates),
        "evaluation.parquet": recorder.evaluation_table(metadata),
        "attention.parquet": recorder.attention_table(metadata),
    }
    summary = {
        "coordinates": settings["coordinates"],
        "status": training.status(),
        "steps": training.steps,
        "steps_done": training.step,
        "warmup_steps": settings["warmup_steps"],
        "parameters": sum(parameter.numel() for _, parameter in roles.trained(training.model)),
        **recording.outcomes(recorder.evaluations, training.task.metric),
        "validation_examples": training.task.validation_examples,
        "validation_stretches": training.task.validation_stretches,
        "final_training_loss": recorder.final_training_loss(training.step),
        "settings": {key: value for key, value in settings.items() if key != "code"},
        "code": settings["code"],
        "versions": made_with,
    }
    if settings.get("keep_last"):
        trunks.leave(training, folder)
    tokens = training.step * training.task.batch_size * training.task.positions
    resources = recording.resources(training.sessions.until(training.step), tokens, training.device)
    recording.write(folder, tables, {**resources, "start": start}, summary)
    logger.info(
        "%s after %d steps: best validation loss %s", summary["status"], training.step, summary["best_validation_loss"]
    )
