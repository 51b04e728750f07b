"""What a probe is given at a probed step, and the form of what it returns."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from warmup.probes import _cadence, _capture

LOGGER = logging.getLogger("warmup")

Batch = tuple[Tensor, Tensor]
Row = dict[str, Any]


@dataclass
class Look:
    """One probed step: gradients present and weights old before the update, weights new after it.

    blocks: (index, name, module), names as in the model; probe_inputs: the fixed probe examples; watcher: captures
    their forward pass; batch: inputs and targets of this training step; steps: length of the run; settings: the probe's
    own section; old: weights before the update by name, for probes that ask for them, when all of the probe is due;
    micro_batch: most examples of a forward pass of the training (None: the whole batch); arithmetic: makes the context
    of its precision.
    """

    model: nn.Module
    task: Any
    blocks: list[tuple[int, str, nn.Module]]
    probe_inputs: Tensor
    step: int
    steps: int
    batch: Batch
    watcher: _capture.Watcher
    settings: Mapping[str, Any] = field(default_factory=dict)
    optimizer: torch.optim.Optimizer | None = None
    learning_rate: float = 0.0
    old: Mapping[str, Tensor] = field(default_factory=dict)
    micro_batch: int | None = None
    arithmetic: Callable[[], AbstractContextManager[Any]] = nullcontext

    @cached_property
    def captured(self) -> _capture.Captured:
        """What one forward pass of the probe examples shows (shared by the probes of this step)."""
        return self.watcher.forward(self.probe_inputs)

    def losses(self, inputs: Tensor, targets: Tensor) -> Iterator[Tensor]:
        """The mean loss of a batch in as many parts as the training would take it in, to be summed: no probe needs more
        memory than a step."""
        size = self.micro_batch or len(inputs)
        for some, wanted in zip(inputs.split(size), targets.split(size), strict=True):
            with self.arithmetic():
                loss = self.task.loss(self.model.forward(some), wanted)
            yield loss if len(some) == len(inputs) else loss * (len(some) / len(inputs))

    def taken_along(self, points: int) -> bool:
        """Whether this is one of the probe's due steps nearest to `points` log-spaced ones."""
        due = _cadence.due_steps(self.steps, self.settings["dense"], self.settings["points"])
        return self.step in _cadence.nearest(due, _cadence.due_steps(self.steps, 0, points))

    def layer(self, name: str) -> int:
        """Index of the block that the module or parameter `name` stands in, -1 if in none."""
        for index, prefix, _ in self.blocks:
            if name == prefix or name.startswith(f"{prefix}."):
                return index
        return -1

    def row(
        self, module: str, quantity: str, value: float | None = None, *, head: int = -1, values: Tensor | None = None
    ) -> Row:
        """A row of attention.parquet; a value that is not finite is null, since the run has diverged there."""
        finite = value is not None and abs(value) < float("inf")
        return {
            "step": self.step,
            "module": module,
            "layer": self.layer(module),
            "head": head,
            "quantity": quantity,
            "value": value if finite else None,
            "values": None if values is None else values.detach().float().flatten().tolist(),
        }

    def rows_of(self, module: str, quantity: str, values: Tensor) -> list[Row]:
        """One row per head for `values` [heads]."""
        return [self.row(module, quantity, value, head=head) for head, value in enumerate(values.tolist())]

    def starts_at_zero(self, modules: list[str], probe: str, lacks: str) -> list[Row]:
        """At step 0, a row (value 1) for each matrix that starts at zero and so `lacks` something; later, nothing."""
        if self.step or not modules:
            return []
        LOGGER.info("probe %s: no %s at step 0 of %d matrices, which start at zero", probe, lacks, len(modules))
        return [self.row(name, "starts_at_zero", 1.0) for name in modules]

    def not_probed(self, module: str, probe: str, why: str) -> list[Row]:
        """At step 0, a row that says that `probe` does not cover `module`, and a line in the log; later, nothing."""
        if self.step:
            return []
        LOGGER.warning("probe %s: %s is not probed (%s)", probe, module, why)
        return [self.row(module, "not_probed")]
