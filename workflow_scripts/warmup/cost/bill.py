"""The bill of a study before anything is trained: steps, memory, hours, disk. Arithmetic only, no torch.

In: the effective settings and what one example costs each network (`network.measure`). Out: one row per cell and the
totals. Units: FLOP, seconds, hours, GB = 1e9 bytes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from warmup.errors import ConfigurationError

TRAINED = 3
"""A training step is three forward passes: the backward pass computes two products for each of the forward."""

STATE_BYTES = 16
"""Per parameter on the device: weight, gradient and the optimiser's two moments, float32."""

CHECKPOINT_BYTES = 12
"""Per parameter in a checkpoint: weight and two moments."""

CHECKPOINTS_KEPT = 3
"""The newest, the one before it, and the one being written."""

CAST_BYTES = {"float32": 0, "bfloat16": 2}
"""Per parameter: autocast keeps a copy of the weights in the arithmetic's precision through a step."""

VALUE_BYTES = {"float32": 4, "bfloat16": 2}
CONTEXT_GB = 1.5
"""CUDA context, libraries, workspaces, fragmentation."""

LOG_VALUE_BYTES = 4 * 0.8
"""A value of log.parquet as written (float32, zstd and byte-stream-split: at most 0.8 of raw; benchmarks/)."""

LOG_COLUMNS = 4
"""step, learning_rate, loss, gradient_norm; one more for each layer group."""

TOKEN_BYTES = 2


@dataclass(frozen=True)
class Row:
    """One cell (architecture, task, recipe) of the bill."""

    architecture: str
    task: str
    recipe: str
    runs: int
    parameters: int
    active_parameters: int
    flops_per_step: float
    """Forward and backward of a whole batch, without validations."""
    weights_gb: float
    optimizer_gb: float
    activations_gb: float
    """Of one forward pass: a micro-batch if one is set, else the batch."""
    memory_gb: float
    largest_micro_batch: int
    """Examples per forward pass that the device has room for; 0 if not even one."""
    step_seconds: float
    run_hours: float
    total_hours: float
    """Device hours of all runs of the cell."""
    log_gb: float
    checkpoint_gb: float
    """Of one run under way."""
    note: str


@dataclass(frozen=True)
class Totals:
    """The study's sums."""

    device: str
    count: int
    runs: int
    hours: float
    wall_hours: float
    price: float | None
    log_gb: float
    checkpoint_gb: float
    """While `count` runs are under way."""
    data_gb: float


def rows(
    settings: Mapping[str, Any], runs: Iterable[Any], networks: Mapping[tuple[str, str], Any], notes: Mapping[str, str]
) -> list[Row]:
    """A row for each cell of `runs` (grid.Run).

    networks: {(architecture, task): network.Network}; notes: {task: what was guessed of its data}.
    """
    counts: dict[tuple[str, str, str], int] = {}
    for run in runs:
        cell = (run.architecture, run.task, run.recipe)
        counts[cell] = counts.get(cell, 0) + 1
    return [_row(settings, cell, count, networks[cell[:2]], notes.get(cell[1], "")) for cell, count in counts.items()]


def device(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Entry of hardware.gpus that the trainings run on. Raises ConfigurationError for an unknown name."""
    hardware, training = settings["hardware"], settings["training"]
    name = "cpu" if training["device"] == "cpu" else hardware["gpu"]
    if name not in hardware["gpus"]:
        key = "hardware.gpus.cpu: missing" if name == "cpu" else f"hardware.gpu: {name!r} is not known"
        raise ConfigurationError(f"{key}; known devices (hardware.gpus) are {', '.join(hardware['gpus'])}")
    return {"name": name, "label": name, "price_per_hour": None, **hardware["gpus"][name]}


def utilisation(settings: Mapping[str, Any], architecture: str) -> float:
    """Assumed share of the peak for an architecture: its model type's, else `default`."""
    shares = settings["hardware"]["utilisation"]
    model_type = settings["architectures"][architecture]["model_type"]
    if model_type not in shares and "default" not in shares:
        raise ConfigurationError("hardware.utilisation.default: this key is missing")
    return float(shares.get(model_type, shares.get("default")))


def totals(settings: Mapping[str, Any], bill: list[Row]) -> Totals:
    """Sums over the bill; wall time with `hardware.count` devices kept busy, no shorter than the longest run."""
    where = device(settings)
    count = int(settings["hardware"]["count"])
    hours = sum(row.total_hours for row in bill)
    longest = max((row.run_hours for row in bill), default=0.0)
    largest = max((row.checkpoint_gb for row in bill), default=0.0)
    price = where["price_per_hour"]
    return Totals(
        device=where["label"],
        count=count,
        runs=sum(row.runs for row in bill),
        hours=hours,
        wall_hours=max(hours / count, longest),
        price=None if price is None else hours * price,
        log_gb=sum(row.log_gb for row in bill),
        checkpoint_gb=largest * min(count, sum(row.runs for row in bill)),
        data_gb=sum(_data_gb(settings, task) for task in {row.task for row in bill}),
    )


def _row(settings: Mapping[str, Any], cell: tuple[str, str, str], runs: int, network: Any, note: str) -> Row:
    architecture, task, recipe = cell
    training, entry, where = settings["training"], settings["tasks"][task], device(settings)
    precision, steps, batch = training["precision"], training["steps"], entry["batch_size"]
    forward = network.matrix_flops + network.scan_flops
    flops = TRAINED * forward * batch
    pace = where["peak_flops"][precision] * utilisation(settings, architecture) * _lanes(settings)
    launches = where.get("layer_seconds", 0.0) * (network.layers + 2)
    parts = batch / (training["micro_batch"] or batch)
    step_seconds = max(flops / pace, launches * parts)
    validations = (training["evaluations"] + training["early_evaluations"] + 1) * entry["validation_examples"]
    validating = max(forward * validations / pace, launches / TRAINED * validations / batch)
    seconds = (steps * step_seconds + validating) * (1 + settings["hardware"]["overhead"])

    weights = network.parameters * (4 + 4 + CAST_BYTES[precision]) / 1e9
    moments = network.parameters * (STATE_BYTES - 8) / 1e9
    example = _example_gb(network, precision)
    fixed = weights + moments + CONTEXT_GB
    room = where["memory_gb"] - fixed
    activations = example * min(training["micro_batch"] or batch, batch)
    largest = int(min(room / example if example else inf, batch)) if room > 0 else 0
    hints = [note] if note else []
    if fixed + activations > where["memory_gb"]:
        hints.append(
            f"does not fit {where['label']}: set training.micro_batch to {largest} or less" if largest
            else f"does not fit {where['label']} at all"
        )  # fmt: skip
    return Row(
        architecture=architecture,
        task=task,
        recipe=recipe,
        runs=runs,
        parameters=network.parameters,
        active_parameters=network.active_parameters,
        flops_per_step=float(flops),
        weights_gb=weights,
        optimizer_gb=moments,
        activations_gb=activations,
        memory_gb=fixed + activations,
        largest_micro_batch=largest,
        step_seconds=step_seconds,
        run_hours=seconds / 3600,
        total_hours=runs * seconds / 3600,
        log_gb=runs * steps * (LOG_COLUMNS + network.groups) * LOG_VALUE_BYTES / 1e9,
        checkpoint_gb=CHECKPOINTS_KEPT * network.parameters * CHECKPOINT_BYTES / 1e9,
        note="; ".join(hints),
    )


def _lanes(settings: Mapping[str, Any]) -> int:
    """Devices of one training: threads of a CPU, one GPU."""
    training = settings["training"]
    return int(training["threads"]) if training["device"] == "cpu" else 1


def _example_gb(network: Any, precision: str) -> float:
    """Memory that one example's forward pass keeps: products, norms (float32), logits with their softmax (float32)."""
    values = network.activations * VALUE_BYTES[precision] + network.norm_activations * 4
    logits = network.logits * (VALUE_BYTES[precision] + 4 + 4)
    return float(values + logits) / 1e9


def _data_gb(settings: Mapping[str, Any], task: str) -> float:
    """Prepared tokens of a source that is read as far as it is needed; other sources are small."""
    entry = settings["tasks"][task]
    if entry["kind"] != "language" or entry["source"]["name"] != "openwebtext":
        return 0.0
    return float(settings["training"]["steps"] * entry["batch_size"] * entry["sequence_length"] * TOKEN_BYTES / 1e9)
