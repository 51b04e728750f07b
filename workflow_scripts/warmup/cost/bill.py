"""The bill of a study before anything is trained: steps, memory, hours, disk. Arithmetic only, no torch.

In: the effective settings, what one example costs each network (`network.measure`) and what a step of it does
(`step.measure`). Out: one row per cell and the totals. Units: FLOP, seconds, hours, GB = 1e9 bytes.

Time is a roofline: each operation of a step takes the longest of its FLOPs over the peak, its bytes over the bandwidth,
and a launch (Williams 2009); what share of peak and bandwidth is reached, and the launch, stand in the configuration
(`hardware`) and are assumptions until a step is measured there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from warmup.config.feasibility import micro_batch, of_recipe, tokens_needed
from warmup.errors import ConfigurationError

TRAINED = 3
"""A training step is three forward passes: the backward pass computes two products for each of the forward."""

UPDATE_BYTES = 7 * 4
"""Per parameter that AdamW's update moves: weight, gradient and two moments read; all but the gradient written."""

RECORDED_BYTES = 4
"""Per parameter that the recorder's norms read."""

CHECKPOINT_BYTES = 12
"""Per parameter in a checkpoint: weight and two moments."""

CHECKPOINTS_KEPT = 3
"""The newest, the one before it, and the one being written."""

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
    """That live when the backward pass of a micro-batch (the batch, if none is set) begins."""
    memory_gb: float
    """Peak of a step, with what CUDA itself takes."""
    largest_micro_batch: int
    """Examples per forward pass that the device has room for, the batch at most, a divisor of it; 0 if not even one."""
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
    kept_gb: float
    """Last checkpoints of the runs that others of the bill continue, which stay."""
    data_gb: float


def rows(
    settings: Mapping[str, Any],
    runs: Iterable[Any],
    networks: Mapping[tuple[str, str], Any],
    steps: Mapping[tuple[str, str, int], list[Any]],
    notes: Mapping[tuple[str, str], str],
) -> list[Row]:
    """A row for each cell of `runs` (grid.Run).

    networks: {(architecture, task): network.Network}; steps: by `step_key`, the step as configured (step.Step), then of
    ever smaller micro-batches until one fits (`fits`); notes: as networks, what was guessed.
    """
    counts: dict[tuple[str, str, str], int] = {}
    for run in runs:
        cell = (run.architecture, run.task, run.recipe)
        counts[cell] = counts.get(cell, 0) + 1
    return [
        _row(settings, cell, count, networks[cell[:2]], steps[step_key(settings, *cell)], notes.get(cell[:2], ""))
        for cell, count in counts.items()
    ]


def step_key(settings: Mapping[str, Any], architecture: str, task: str, recipe: str) -> tuple[str, str, int]:
    """What tells the steps of cells apart: architecture, task, examples per update."""
    return architecture, task, int(of_recipe(settings, recipe)["tasks"][task]["batch_size"])


def part(settings: Mapping[str, Any], architecture: str, task: str) -> int:
    """Examples of one forward pass of a cell, as configured."""
    return micro_batch(settings, architecture, task) or int(settings["tasks"][task]["batch_size"])


def smaller_parts(batch: int, below: int) -> list[int]:
    """The micro-batches that divide `batch` and are smaller than `below`, the largest first."""
    return [size for size in range(below - 1, 0, -1) if batch % size == 0]


def fits(settings: Mapping[str, Any], step: Any) -> bool:
    """Whether a step fits the device."""
    return _memory_gb(settings, step) <= float(device(settings)["memory_gb"])


def device(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Entry of hardware.gpus that the trainings run on. Raises ConfigurationError for an unknown name."""
    hardware, training = settings["hardware"], settings["training"]
    name = "cpu" if training["device"] == "cpu" else hardware["gpu"]
    if name not in hardware["gpus"]:
        key = "hardware.gpus.cpu: missing" if name == "cpu" else f"hardware.gpu: {name!r} is not known"
        raise ConfigurationError(f"{key}; known devices (hardware.gpus) are {', '.join(hardware['gpus'])}")
    return {"name": name, "label": name, "price_per_hour": None, **hardware["gpus"][name]}


def totals(settings: Mapping[str, Any], bill: list[Row]) -> Totals:
    """Sums over the bill; wall time with `hardware.count` GPUs (one CPU core) kept busy, at least the longest run."""
    where = device(settings)
    # How many cores are free only `--cores` says.
    count = 1 if where["name"] == "cpu" else int(settings["hardware"]["count"])
    hours = sum(row.total_hours for row in bill)
    longest = max((row.run_hours for row in bill), default=0.0)
    largest = max((row.checkpoint_gb for row in bill), default=0.0)
    price = where["price_per_hour"]
    recipes = {row.recipe: settings["recipes"][row.recipe].get("continues") for row in bill}
    trunks = {trunk["recipe"] for trunk in recipes.values() if trunk}
    return Totals(
        device=where["label"],
        count=count,
        runs=sum(row.runs for row in bill),
        hours=hours,
        wall_hours=max(hours / count, longest),
        price=None if price is None else hours * price,
        log_gb=sum(row.log_gb for row in bill),
        checkpoint_gb=largest * min(count, sum(row.runs for row in bill)),
        kept_gb=sum(row.runs * row.checkpoint_gb / CHECKPOINTS_KEPT for row in bill if row.recipe in trunks),
        data_gb=sum(_data_gb(settings, task) for task in {row.task for row in bill}),
    )


def _row(
    settings: Mapping[str, Any], cell: tuple[str, str, str], runs: int, network: Any, steps: list[Any], note: str
) -> Row:
    architecture, task, recipe = cell
    settings = of_recipe(settings, recipe)
    training, entry, where = settings["training"], settings["tasks"][task], device(settings)
    count, batch = training["steps"], entry["batch_size"]
    step = steps[0]
    pass_seconds = _pass_seconds(settings, network, step)
    step_seconds = settings["hardware"]["step_seconds"].get(where["name"], {}).get(f"{architecture}/{task}")
    if step_seconds is None:
        step_seconds = pass_seconds * batch / step.examples + _update_seconds(settings, network)
    validations = (training["evaluations"] + training["early_evaluations"] + 1) * entry["validation_examples"]
    validating = pass_seconds / TRAINED * validations / step.examples
    seconds = (count * step_seconds + validating) * (1 + settings["hardware"]["overhead"])

    fitting = next((smaller.examples for smaller in steps if fits(settings, smaller)), 0)
    hints = [note] if note else []
    if fitting != step.examples:
        hints.append(
            f"does not fit {where['label']}: set architectures.{architecture}.micro_batch.{task} to {fitting}"
            if fitting
            else f"does not fit {where['label']} at all"
        )
    return Row(
        architecture=architecture,
        task=task,
        recipe=recipe,
        runs=runs,
        parameters=network.parameters,
        active_parameters=network.active_parameters,
        flops_per_step=float(TRAINED * (network.matrix_flops + network.scan_flops) * batch),
        weights_gb=(step.weights + step.gradients) / 1e9,
        optimizer_gb=step.moments / 1e9,
        activations_gb=step.kept / 1e9,
        memory_gb=_memory_gb(settings, step),
        largest_micro_batch=fitting,
        step_seconds=step_seconds,
        run_hours=seconds / 3600,
        total_hours=runs * seconds / 3600,
        log_gb=runs * count * (LOG_COLUMNS + network.groups) * LOG_VALUE_BYTES / 1e9,
        checkpoint_gb=CHECKPOINTS_KEPT * network.parameters * CHECKPOINT_BYTES / 1e9,
        note="; ".join(hints),
    )


def _memory_gb(settings: Mapping[str, Any], step: Any) -> float:
    context = 0.0 if settings["training"]["device"] == "cpu" else float(settings["hardware"]["context_gb"])
    return float(step.peak * (1 + settings["hardware"]["fragmentation"]) / 1e9 + context)


def _pass_seconds(settings: Mapping[str, Any], network: Any, step: Any) -> float:
    """Forward and backward of `step.examples` examples: the roofline of every operation, and the recurrences."""
    where, shares = device(settings), settings["hardware"]["shares"]
    lanes = _lanes(settings)
    bandwidth, launch = where["bandwidth"] * shares["bandwidth"], where["launch_seconds"]
    total = 0.0
    for flops, moved, dtype, times in step.operations:
        peak = where["peak_flops"]["bfloat16" if dtype == "bfloat16" else "float32"] * shares["products"] * lanes
        total += times * max(flops / peak, moved / bandwidth, launch)
    recurrences = TRAINED * network.scan_flops * step.examples / (where["vector_flops"] * shares["recurrences"] * lanes)
    return total + float(recurrences)


def _update_seconds(settings: Mapping[str, Any], network: Any) -> float:
    bandwidth = device(settings)["bandwidth"] * settings["hardware"]["shares"]["bandwidth"]
    return float(network.parameters * (UPDATE_BYTES + RECORDED_BYTES) / bandwidth)


def _lanes(settings: Mapping[str, Any]) -> int:
    """Devices of one training: threads of a CPU, one GPU."""
    training = settings["training"]
    return int(training["threads"]) if training["device"] == "cpu" else 1


def _data_gb(settings: Mapping[str, Any], task: str) -> float:
    """Prepared tokens of a source that is read as far as it is needed; other sources are small."""
    return float((tokens_needed(settings, task) or 0) * TOKEN_BYTES / 1e9)
