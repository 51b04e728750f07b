"""Language modelling: predict the next token. Loss: cross-entropy, nats per token. Metric: perplexity."""

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from warmup.tasks import _cross_entropy, _task

LARGEST_PERPLEXITY = 1e30
"""exp(loss) is reported up to here, so that a nearly diverged run stays a finite number."""


class Task(_task.Task):
    """Windows of `sequence_length` tokens, each with the tokens one further as targets."""

    metric = "perplexity"
    metric_better = "lower"

    @property
    def positions(self) -> int:
        return int(self.settings["sequence_length"])

    @property
    def target_rows(self) -> int:
        return self.positions

    @property
    def vocabulary(self) -> int:
        return int(self.facts["vocabulary"]["size"])

    def count(self, part: str) -> int:
        return len(self.array(part)) - self.positions

    def examples(self, part: str, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Tokens [batch, positions] and the tokens that follow each [batch, positions], int64."""
        tokens = self.array(part)
        windows = np.stack([tokens[start : start + self.positions + 1] for start in indices]).astype(np.int64)
        whole = torch.from_numpy(windows)
        return whole[:, :-1].contiguous(), whole[:, 1:].contiguous()

    def adapters(
        self, width: int, tokens: nn.Embedding | None, tied: bool, pixels: bool
    ) -> tuple[nn.Module, nn.Module]:
        """The backbone's own token embedding; a head that shares its matrix or has its own."""
        del pixels
        embedding = tokens if tokens is not None else nn.Embedding(self.vocabulary, width)
        head = TiedHead(embedding) if tied else OwnHead(width, embedding.num_embeddings, bias=False)
        return TokenEmbedding(embedding), head

    def loss(self, outputs: "Scores", targets: Tensor) -> Tensor:
        """Cross-entropy, nats per token."""
        return _cross_entropy.linear_cross_entropy(outputs.states, outputs.weight, targets)

    def losses(self, outputs: "Scores", targets: Tensor) -> tuple[Tensor, Tensor]:
        loss, each = _cross_entropy.linear_cross_entropies(outputs.states, outputs.weight, targets)
        return loss, each.mean(1)

    def measure(self, outputs: "Scores", targets: Tensor, loss: Tensor) -> Tensor:
        del outputs, targets
        return loss

    def metric_of(self, mean: float) -> float:
        """Perplexity, exp of the mean loss."""
        return min(math.exp(min(mean, math.log(LARGEST_PERPLEXITY))), LARGEST_PERPLEXITY)


class TokenEmbedding(nn.Module):
    """Tokens [batch, positions] -> their embeddings [batch, positions, width]."""

    def __init__(self, tokens: nn.Embedding) -> None:
        super().__init__()
        self.tokens = tokens

    def forward(self, inputs: Tensor) -> Tensor:
        embedded: Tensor = self.tokens(inputs)
        return embedded


class Scores(NamedTuple):
    """Logits before they are multiplied out: the loss never needs all of them at once."""

    states: Tensor
    """[batch, positions, width]"""
    weight: Tensor
    """[vocabulary, width]"""

    def logits(self) -> Tensor:
        """[batch, positions, vocabulary]."""
        return functional.linear(self.states, self.weight)


class TiedHead(nn.Module):
    """States [batch, positions, width] -> scores by the token embedding's own matrix, which stays the embedding's."""

    def __init__(self, tokens: nn.Embedding) -> None:
        super().__init__()
        self.tokens = tokens

    def forward(self, states: Tensor) -> Scores:
        return Scores(states, self.tokens.weight)


class OwnHead(nn.Linear):
    """States [batch, positions, width] -> scores by a matrix of its own."""

    def forward(self, states: Tensor) -> Scores:  # type: ignore[override]
        return Scores(states, self.weight)
