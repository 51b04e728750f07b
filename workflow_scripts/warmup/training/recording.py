"""What a run writes down: one row per step, one per validation, the probes' rows, and a summary.

Norms and losses stay on the training device in preallocated buffers; nothing is copied or synchronised per step.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import torch
from torch import Tensor, nn

from warmup import files, stretches
from warmup.architectures import layers
from warmup.training import columns
from warmup.training.sessions import used_by_this_process

FINAL_SHARE = 0.1
"""The final training loss is the mean over this last share of the steps."""

ATTENTION_COLUMNS: dict[str, Callable[[Sequence[Any]], pyarrow.Array]] = {
    "step": partial(columns.optional_numbers, dtype=np.int32),
    "module": columns.optional_texts,
    "layer": partial(columns.optional_numbers, dtype=np.int32),
    "head": partial(columns.optional_numbers, dtype=np.int32),
    "quantity": columns.optional_texts,
    "value": partial(columns.optional_numbers, dtype=np.float32),
    "values": partial(columns.optional_lists, dtype=np.float32),
}
"""What the probes' rows are kept as; a row that lacks a key has null there."""


class Recorder:
    """Rows of a run of at most `steps` steps.

    model: a Model whose trained parameters are grouped by layer; device: where training happens.
    """

    def __init__(self, model: nn.Module, steps: int, device: torch.device) -> None:
        self.groups = layers.layer_groups(model)
        by_name = dict(model.named_parameters())
        self.parameters = [by_name[name] for names in self.groups.values() for name in names]
        sizes = [len(names) for names in self.groups.values()]
        membership = torch.zeros(len(sizes), len(self.parameters), dtype=torch.float64)
        membership[torch.repeat_interleave(torch.tensor(sizes)), torch.arange(len(self.parameters))] = 1.0
        self.membership = membership.to(device)
        self.losses = torch.zeros(steps, device=device)
        self.squares = torch.zeros(steps, len(sizes), dtype=torch.float64, device=device)
        self.evaluations: list[dict[str, Any]] = []
        self.probes: list[dict[str, Any]] = []

    def gradients(self) -> list[Tensor]:
        """Gradients of all trained parameters; a parameter the loss did not reach gets zeros, so that its norm is 0."""
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]

    def record(self, step: int, loss: Tensor) -> None:
        """Keep the loss and the squared gradient norm of every layer group of this step, before any clipping."""
        self.losses[step] = loss
        norms = torch.stack(torch._foreach_norm(self.gradients())).double()
        torch.mv(self.membership, norms.square_(), out=self.squares[step])

    def clip(self, step: int, largest: float) -> None:
        """Scale the gradients so that their global norm, as recorded, is at most `largest`."""
        norm = self.squares[step].sum().sqrt()
        factor = torch.clamp(largest / norm, max=1.0).float()
        torch._foreach_mul_(self.gradients(), factor)

    def validated(self, row: Mapping[str, Any], losses: Tensor, parts: int) -> None:
        """Keep the row of a validation, with the standard error of its loss over other examples of the source.

        losses: of each example [examples] float32, on the host; they stay with the best validation so far and with the
        last one. parts: stretches of examples that are nearly independent.
        """
        known = math.isfinite(row["loss"])
        error = stretches.standard_error(losses.numpy(), parts) if known else math.nan
        self.evaluations.append({**row, "loss_error": error, "example_losses": losses if known else None})
        best = best_of(self.evaluations)
        for earlier in self.evaluations[:-1]:
            if earlier is not best:
                earlier["example_losses"] = None

    def first_not_finite(self, start: int, stop: int) -> int | None:
        """First step of [start, stop) whose loss is NaN or infinite."""
        bad = (~torch.isfinite(self.losses[start:stop])).nonzero()
        return start + int(bad[0]) if len(bad) else None

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "losses": self.losses,
            "squares": self.squares,
            "evaluations": self.evaluations,
            "probes": self.probes,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` kept."""
        self.losses.copy_(state["losses"])
        self.squares.copy_(state["squares"])
        self.evaluations = list(state["evaluations"])
        self.probes = list(state["probes"])

    # Files -----------------------------------------------------------------------------------------------------------

    def log(
        self, rates: np.ndarray, done: int, metadata: Mapping[str, str], role_rates: Mapping[str, np.ndarray] = {}
    ) -> pyarrow.Table:
        """Table of `done` steps: step, learning_rate, loss, gradient_norm, gradient_norm/<group>.

        role_rates: rates of warmup roles that have their own, kept in full precision as learning_rate/<role>.
        """
        squares = self.squares[:done].cpu().numpy()
        kept: dict[str, np.ndarray] = {
            "step": np.arange(done, dtype=np.int32),
            "learning_rate": rates[:done].astype(np.float32),
            "loss": self.losses[:done].cpu().numpy(),
            "gradient_norm": np.sqrt(squares.sum(1)).astype(np.float32),
        }
        for index, group in enumerate(self.groups):
            kept[f"gradient_norm/{group}"] = np.sqrt(squares[:, index]).astype(np.float32)
        kept |= {f"learning_rate/{role}": own[:done] for role, own in role_rates.items()}
        return pyarrow.table({name: columns.numbers(values) for name, values in kept.items()}, metadata=metadata)

    def evaluation_table(self, metadata: Mapping[str, str]) -> pyarrow.Table:
        """One row per validation: step (updates done), loss, the task's metric, loss_error, example_losses."""
        kept = {name: [row[name] for row in self.evaluations] for name in self.evaluations[0]}
        losses = [None if each is None else each.numpy() for each in kept.pop("example_losses")]
        table = {name: columns.numbers(np.array(values)) for name, values in kept.items()}
        table["step"] = columns.numbers(np.array(kept["step"], dtype=np.int32))
        table["example_losses"] = columns.optional_lists(losses, np.float32)
        return pyarrow.table(table, metadata=metadata)

    def attention_table(self, metadata: Mapping[str, str]) -> pyarrow.Table:
        """The probes' rows."""
        kept = {name: column([row.get(name) for row in self.probes]) for name, column in ATTENTION_COLUMNS.items()}
        return pyarrow.table(kept, metadata=metadata)

    def final_training_loss(self, done: int) -> float | None:
        """Mean training loss over the last tenth of the steps done."""
        if done == 0:
            return None
        return finite(float(self.losses[done - max(1, int(done * FINAL_SHARE)) : done].double().mean()))


def best_of(evaluations: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The row with the smallest finite loss, the first of several; None if there is none."""
    usable = [row for row in evaluations if math.isfinite(row["loss"])]
    return min(usable, key=lambda row: float(row["loss"])) if usable else None


def outcomes(evaluations: Sequence[Mapping[str, Any]], metric: str) -> dict[str, Any]:
    """Initial, best and final validation loss and metric; null where a loss is not finite or there is none.

    Of the best and the final loss also the standard error over other validation examples.
    """
    best, first, last = best_of(evaluations), evaluations[0], evaluations[-1]
    return {
        "initial_validation_loss": finite(first["loss"]),
        "best_validation_loss": best["loss"] if best else None,
        "best_validation_error": finite(best["loss_error"]) if best else None,
        "best_step": int(best["step"]) if best else None,
        "final_validation_loss": finite(last["loss"]),
        "final_validation_error": finite(last["loss_error"]),
        "metric": {"name": metric, "best": finite(best[metric]) if best else None, "final": finite(last[metric])},
    }


def resources(sessions: Sequence[Mapping[str, Any]], tokens: int, device: torch.device) -> dict[str, Any]:
    """What may differ between two identical runs: time, memory, machine; `tokens` were read in all `sessions`."""
    seconds = sum(session["seconds"] for session in sessions)
    on_gpu = device.type == "cuda"
    return {
        "seconds": seconds,
        "tokens_per_second": tokens / seconds,
        **used_by_this_process(),
        "peak_gpu_memory_mb": torch.cuda.max_memory_allocated() / 2**20 if on_gpu else None,
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "threads": torch.get_num_threads(),
        "sessions": sessions,
    }


def finite(value: float) -> float | None:
    """`value`, or None if it is NaN or infinite (JSON has neither)."""
    return value if math.isfinite(value) else None


def write(
    folder: Path, tables: Mapping[str, pyarrow.Table], resources: Mapping[str, Any], summary: Mapping[str, Any]
) -> None:
    """The files of a run, each whole or not at all, the summary last: a run with a summary is complete."""
    for name, table in tables.items():
        files.write_parquet(table, folder / name)
    files.write_json(resources, folder / "resources.json")
    files.write_json({**summary, "log_sha256": files.sha256(folder / "log.parquet")}, folder / "summary.json")


def spaced(steps: int, even: int, early: int) -> list[int]:
    """Numbers of updates after which to validate: 0, `early` log-spaced ones, `even` evenly spaced up to `steps`."""
    regular = [round(steps * (index + 1) / even) for index in range(even)]
    first = regular[0]
    log_spaced: Iterable[int] = (round(first ** ((index + 1) / (early + 1))) for index in range(early))
    return sorted({0, *log_spaced, *regular})
