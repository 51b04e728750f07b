"""What every kind of task offers the training loop."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from warmup import stretches
from warmup.random_streams import stream

if TYPE_CHECKING:
    from warmup.settings import TaskSettings

VALIDATION_POSITIONS = 32_768
"""Positions (tokens, patches) that a validation batch may have even if a training batch has fewer: small batches leave
a GPU waiting for launches, 7,000 of them a run for series at the paper's sizes."""


class Task(ABC):
    """Prepared data of one task, served as batches.

    settings: the task's entry of the configuration; folder: what rule prepare_data made of it.
    """

    metric: str
    """Name of the task's own metric."""
    metric_better: str
    """"lower" or "higher"."""

    def __init__(self, settings: TaskSettings, folder: str | Path) -> None:
        self.settings = settings
        self.folder = Path(folder)
        self.facts: dict[str, Any] = json.loads((self.folder / "data.json").read_text())
        self.batch_size = int(settings["batch_size"])
        self._arrays: dict[str, NDArray[Any]] = {}

    def array(self, name: str) -> NDArray[Any]:
        """The prepared array `name`, mapped into memory."""
        if name not in self._arrays:
            self._arrays[name] = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return self._arrays[name]

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of training step `step` (from 0): a pure function of task, seed and step."""
        return self.examples("train", self.training_indices(seed, step))

    def training_indices(self, seed: int, step: int) -> NDArray[np.int64]:
        """Examples of a step, drawn uniformly with replacement [batch]."""
        draws = stream("batch", self.settings["kind"], seed, step)
        return draws.integers(0, self.count("train"), size=self.batch_size)

    def validation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The fixed validation examples, evenly spread over the validation part.

        Batches have the training size, or more where that is small: without a backward pass there is room.
        """
        available, wanted = self.count("validation"), self.validation_examples
        chosen = np.linspace(0, available - 1, wanted).round().astype(np.int64)
        size = max(self.batch_size, VALIDATION_POSITIONS // self.positions)
        for start in range(0, wanted, size):
            yield self.examples("validation", chosen[start : start + size])

    @property
    def validation_examples(self) -> int:
        """Number of validation examples: as many as asked for, or all there are."""
        return min(int(self.settings["validation_examples"]), self.count("validation"))

    @property
    def validation_stretches(self) -> int:
        """Number of consecutive stretches of them whose mean losses are nearly independent."""
        rows = self.count("validation") + (self.target_rows or 1) - 1
        return stretches.count(self.validation_examples, rows, self.target_rows)

    @property
    def target_rows(self) -> int | None:
        """Rows of the source that an example's targets cover; None where examples share no rows."""
        return None

    @property
    @abstractmethod
    def positions(self) -> int:
        """Positions of the sequence that a backbone sees."""

    @property
    def vocabulary(self) -> int | None:
        """Number of tokens, for tasks that have tokens."""
        return None

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """Height, width and channels, for tasks that have images."""
        return None

    @abstractmethod
    def count(self, part: str) -> int:
        """Examples in `part` ("train" or "validation")."""

    @abstractmethod
    def examples(self, part: str, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Inputs and targets of the examples `indices` of `part`."""

    @abstractmethod
    def adapters(
        self, width: int, tokens: nn.Embedding | None, tied: bool, pixels: bool
    ) -> tuple[nn.Module, nn.Module]:
        """(inputs -> backbone inputs [batch, positions, width], backbone states -> outputs).

        tokens: the backbone's own token embedding, for tasks that have tokens; pixels: the backbone takes images.
        """

    @abstractmethod
    def loss(self, outputs: Any, targets: Tensor) -> Tensor:
        """Mean loss of a batch (scalar) from what the output adapter made of it."""

    @abstractmethod
    def losses(self, outputs: Any, targets: Tensor) -> tuple[Tensor, Tensor]:
        """(what `loss` gives, to the last bit, mean loss of each example [batch] float32); without gradients."""

    @abstractmethod
    def measure(self, outputs: Any, targets: Tensor, loss: Tensor) -> Tensor:
        """The batch's mean of what the metric averages (scalar)."""

    def metric_of(self, mean: float) -> float:
        """The metric from the mean of `measure` over the validation examples."""
        return mean
