"""Image classification. Loss: cross-entropy, nats. Metric: accuracy (share of images whose top class is right)."""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from warmup.errors import ConfigurationError
from warmup.random_streams import stream
from warmup.tasks import _task


class Task(_task.Task):
    """Images [batch, channels, height, width] in [-1, 1]; every image once per pass, in an order drawn per pass."""

    metric = "accuracy"
    metric_better = "higher"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels of an image."""
        height, width, channels = self.array("train_images").shape[1:]
        return height, width, channels

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.facts["classes"])

    @property
    def positions(self) -> int:
        height, width, _ = self.shape
        side = self.patch_size
        return (height // side) * (width // side)

    @property
    def patch_size(self) -> int:
        """Side of a patch, pixels; refused if it does not divide the image."""
        side = int(self.settings["patch_size"])
        height, width, _ = self.shape
        if height % side or width % side:
            raise ConfigurationError(f"patch_size: {side} does not divide images of {height} x {width} pixels")
        return side

    def count(self, part: str) -> int:
        return len(self.array(f"{part}_labels"))

    def training_indices(self, seed: int, step: int) -> NDArray[np.int64]:
        count = self.count("train")
        places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        return np.array([_order(seed, int(place // count), count)[place % count] for place in places])

    def examples(self, part: str, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Images float32 [batch, channels, height, width] and labels int64 [batch]."""
        images = torch.from_numpy(self.array(f"{part}_images")[indices]).permute(0, 3, 1, 2)
        return images.float().div_(127.5).sub_(1.0).contiguous(), torch.from_numpy(
            self.array(f"{part}_labels")[indices]
        )

    def adapters(
        self, width: int, tokens: nn.Embedding | None, tied: bool, pixels: bool
    ) -> tuple[nn.Module, nn.Module]:
        """Patches as positions (or the image as it is, for a backbone that takes pixels); the mean state classified."""
        del tokens, tied
        _, _, channels = self.shape
        inputs = nn.Identity() if pixels else PatchEmbedding(self.patch_size, channels, width)
        return inputs, MeanClassifier(width, self.classes)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of logits [batch, classes], nats."""
        return functional.cross_entropy(outputs.float(), targets)

    def losses(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return self.loss(outputs, targets), functional.cross_entropy(outputs.float(), targets, reduction="none")

    def measure(self, outputs: Tensor, targets: Tensor, loss: Tensor) -> Tensor:
        del loss
        return (outputs.argmax(-1) == targets).float().mean()


@cache
def _order(seed: int, number: int, count: int) -> NDArray[np.int64]:
    """Order of the training images in pass `number`."""
    return stream("order", "classification", seed, number).permutation(count)


class PatchEmbedding(nn.Module):
    """Images [batch, channels, height, width] -> projected square patches [batch, positions, width], row by row."""

    def __init__(self, side: int, channels: int, width: int) -> None:
        super().__init__()
        self.side = side
        self.projection = nn.Linear(side * side * channels, width)

    def forward(self, images: Tensor) -> Tensor:
        patches = functional.pixel_unshuffle(images, self.side).flatten(2).transpose(1, 2)
        embedded: Tensor = self.projection(patches)
        return embedded


class MeanClassifier(nn.Module):
    """States [batch, positions, width] -> logits [batch, classes] of their mean over positions."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.projection = nn.Linear(width, classes)

    def forward(self, states: Tensor) -> Tensor:
        logits: Tensor = self.projection(states.mean(1))
        return logits
