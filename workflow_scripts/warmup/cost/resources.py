"""What a training asks of the machine it runs on, from its settings alone: host memory, time limit, GPUs.

Rough on purpose and on the safe side: sizes from the configuration by the usual rules of thumb, no model is built, so
that 840 runs are estimated while the Snakefile is read. `bill` counts exactly. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup.cluster import exhaustion

if TYPE_CHECKING:
    from warmup.settings import RunSettings, TaskSettings

WIDTHS = ("n_embd", "hidden_size", "d_model")
DEPTHS = ("n_layer", "num_hidden_layers")
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
MATRICES_OF_A_LAYER = {"mamba": 6, "mamba2": 6}
"""Parameters of a layer in units of width^2, where they are not the 12 of mixer (4) and feed-forward (8)."""

USUAL = {"width": 768, "depth": 12, "vocabulary": 50_000}
"""Sizes of an architecture whose settings are silent: those of transformers' usual base models."""

BYTES_PER_PARAMETER = 16
"""Weight, gradient and two moments in float32: on the device, and as copies in the host while a checkpoint is made."""

HOST_MB = {"cpu": 1500, "cuda": 8000}
"""Python, PyTorch and (cuda) its libraries, contexts and pinned buffers, plus the data set's pages."""

FLOPS_PER_SECOND = {"cpu": 2.0e9, "cuda": 4.0e13}
"""Sustained, for time limits only: per thread of an old laptop; and of a data-centre GPU that is used badly (an A100's
bfloat16 peak is 3.1e14). The bill uses the configuration's `hardware` instead."""

LARGEST_RAISES = 3
"""After this many, more of the same will not help: the message of the last failure is the better guide."""

RAISE = 1.5
STARTUP_MINUTES = 30
"""Imports, data in a cold file system, the first compilation of kernels."""


def parameters(run: RunSettings) -> float:
    """Rough number of parameters of a run's model: layers of 12 width^2, experts in every other one, embedding."""
    settings = run["architecture"].get("settings", {})
    width = _first(settings, WIDTHS, USUAL["width"])
    depth = _first(settings, DEPTHS, USUAL["depth"])
    experts = _first(settings, EXPERTS, 1)
    vocabulary = settings.get("vocab_size", USUAL["vocabulary"]) if run["task"]["kind"] == "language" else 0
    layer = MATRICES_OF_A_LAYER.get(run["architecture"]["model_type"], 12)
    matrices = layer * depth * width**2 * (1 + (experts - 1) / 3)  # experts: 8 of 12 parts, in half of the layers
    heads = 1 if run["architecture"].get("tied_head", True) else 2
    return matrices + heads * vocabulary * width


def positions(task: TaskSettings) -> int:
    """Positions of one example's sequence, from the task's settings (pictures taken as 32 x 32)."""
    if task["kind"] == "language":
        return int(task["sequence_length"])
    if task["kind"] == "classification":
        return ceil(32 / int(task["patch_size"])) ** 2
    return int(task["context"]) // int(task["patch_length"])


def memory_mb(run: RunSettings, attempt: int, logs: Path = exhaustion.SLURM_LOGS) -> int:
    """Host memory of a training in MB. `run` is grid.run_settings; raised by half for each job that ran out of it.

    On a CPU the weights' share counts twice (training, and the copy a checkpoint is made from) and activations
    are 64 bytes per position, unit of width and layer.
    """
    device = run["training"]["device"]
    weights = parameters(run) * BYTES_PER_PARAMETER / 1e6
    total = HOST_MB[device] + (2 * weights if device == "cpu" else weights)
    if device == "cpu":
        settings = run["architecture"].get("settings", {})
        examples = run["training"].get("micro_batch") or run["task"]["batch_size"]
        size = _first(settings, WIDTHS, USUAL["width"]) * _first(settings, DEPTHS, USUAL["depth"])
        total += examples * positions(run["task"]) * size * 64 / 1e6
    return ceil(total * _raise(run, attempt, logs, "memory") / 100) * 100


def runtime_minutes(run: RunSettings, attempt: int, logs: Path = exhaustion.SLURM_LOGS) -> int:
    """Time limit of a training in minutes: 6 FLOPs per parameter and position, at a slow pace, twice over.

    A limit that proves too short costs no work (the run goes on from its checkpoint) and is raised by half.
    """
    training = run["training"]
    steps = run.get("stop_after") or training["steps"]
    flops = 6 * parameters(run) * run["task"]["batch_size"] * positions(run["task"]) * steps
    pace = FLOPS_PER_SECOND[training["device"]] * (training["threads"] if training["device"] == "cpu" else 1)
    minutes = STARTUP_MINUTES + 2 * flops / pace / 60
    return ceil(minutes * _raise(run, attempt, logs, "time") / 10) * 10


def gpus(run: RunSettings) -> int:
    """GPUs of a training: one if it runs on CUDA."""
    return int(run["training"]["device"] == "cuda")


def _raise(run: RunSettings, attempt: int, logs: Path, what: str) -> float:
    """Factor on a request: RAISE for every job of this run that ran out of it.

    Where SLURM left logs they decide, and at the first attempt of a later start too; an engine that leaves none says no
    more than `attempt`.
    """
    axes = {axis: str(value) for axis, value in run["coordinates"].items() if axis != "scale"}
    if logs.exists():
        if "stop_after" in run:  # a probe run has no warmup to name it by
            axes.pop("warmup")
        rule = "probe_run" if "stop_after" in run else "trunk_run" if run.get("keep_last") else "train"
        memory, time = exhaustion.times(exhaustion.log_folder(rule, axes, logs))
        count = memory if what == "memory" else time
    else:
        count = attempt - 1
    return float(RAISE ** min(count, LARGEST_RAISES))


def _first(settings: Mapping[str, Any], keys: tuple[str, ...], default: int) -> int:
    """Value of the first of `keys` that `settings` has."""
    return int(next((settings[key] for key in keys if key in settings), default))
