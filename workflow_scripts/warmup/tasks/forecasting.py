"""Multivariate forecasting. Loss: mean squared error of standardised values. Metric: their mean absolute error."""

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from warmup.errors import ConfigurationError
from warmup.tasks import _task


class Task(_task.Task):
    """Windows of `context` rows of all channels, each with the `horizon` rows that follow."""

    metric = "mae"
    metric_better = "lower"

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.facts["channels"])

    @property
    def positions(self) -> int:
        return int(self.settings["context"]) // self.patch_length

    @property
    def target_rows(self) -> int:
        return int(self.settings["horizon"])

    @property
    def patch_length(self) -> int:
        """Rows that become one position."""
        context, length = int(self.settings["context"]), int(self.settings["patch_length"])
        if context % length:
            raise ConfigurationError(f"patch_length: {length} does not divide context ({context})")
        return length

    def count(self, part: str) -> int:
        return len(self.array(part)) - int(self.settings["context"]) - int(self.settings["horizon"]) + 1

    def examples(self, part: str, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Past [batch, context, channels] and future [batch, horizon, channels], float32."""
        context, horizon = int(self.settings["context"]), int(self.settings["horizon"])
        rows = self.array(part)
        windows = torch.from_numpy(np.stack([rows[start : start + context + horizon] for start in indices]))
        return windows[:, :context].contiguous(), windows[:, context:].contiguous()

    def adapters(
        self, width: int, tokens: nn.Embedding | None, tied: bool, pixels: bool
    ) -> tuple[nn.Module, nn.Module]:
        """Patches of rows as positions; the last state projected to the whole future."""
        del tokens, tied, pixels
        return (
            RowEmbedding(self.patch_length, self.channels, width),
            LastForecast(width, int(self.settings["horizon"]), self.channels),
        )

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error over batch, horizon and channels."""
        return functional.mse_loss(outputs.float(), targets)

    def losses(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        each = functional.mse_loss(outputs.float(), targets, reduction="none")
        return self.loss(outputs, targets), each.flatten(1).mean(1)

    def measure(self, outputs: Tensor, targets: Tensor, loss: Tensor) -> Tensor:
        del loss
        return functional.l1_loss(outputs.float(), targets)


class RowEmbedding(nn.Module):
    """Rows [batch, context, channels] -> projected patches of `length` rows [batch, context / length, width]."""

    def __init__(self, length: int, channels: int, width: int) -> None:
        super().__init__()
        self.length = length
        self.projection = nn.Linear(length * channels, width)

    def forward(self, rows: Tensor) -> Tensor:
        embedded: Tensor = self.projection(rows.unflatten(1, (-1, self.length)).flatten(2))
        return embedded


class LastForecast(nn.Module):
    """States [batch, positions, width] -> forecast [batch, horizon, channels] from the last position's state."""

    def __init__(self, width: int, horizon: int, channels: int) -> None:
        super().__init__()
        self.horizon = horizon
        self.projection = nn.Linear(width, horizon * channels)

    def forward(self, states: Tensor) -> Tensor:
        forecast: Tensor = self.projection(states[:, -1])
        return forecast.unflatten(-1, (self.horizon, -1))
