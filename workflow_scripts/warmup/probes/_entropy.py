"""Statistics of row-stochastic matrices, the same for attention and for the mixing of layers without attention."""

import torch
from torch import Tensor

NEARLY_NOTHING = 1e-3
"""Weights below this share of the uniform weight count as sparse."""


def entropies(weights: Tensor, visible: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(entropy in nats, relative entropy, sparsity) per head from weights [n, heads, rows, columns].

    visible: bool, broadcastable to weights, which columns a row may use. Entropy is the mean over rows and examples;
    relative entropy the sum of the entropies over the sum of log(number of visible columns), so that uniform weights
    have 1 although the first row of a causal matrix has one column; sparsity the share of visible weights below
    NEARLY_NOTHING of uniform.
    """
    visible = visible.expand_as(weights)
    counts = visible.sum(-1)
    rows = torch.special.entr(weights).sum(-1)
    entropy = rows.mean((0, 2))
    possible = counts.clamp(min=1).log().sum((0, 2))
    relative = torch.where(possible > 0, rows.sum((0, 2)) / possible, torch.full_like(possible, float("nan")))
    small = (weights < NEARLY_NOTHING / counts.clamp(min=1)[..., None]) & visible
    return entropy, relative, small.sum((0, 2, 3)) / visible.sum((0, 2, 3))


def effective_rank(singular_values: Tensor) -> Tensor:
    """exp of the entropy of the normalised singular values [..., k] (Roy & Vetterli 2007); NaN for a zero matrix."""
    shares = singular_values / singular_values.sum(-1, keepdim=True)
    return torch.special.entr(shares).sum(-1).exp()


def singular_values(matrices: Tensor) -> Tensor:
    """Singular values [..., min(m, n)], descending, of matrices [..., m, n]; NaN where an entry is not finite.

    From the Gram matrix of the smaller side in float64: right to 1e-8 of the largest, which is what ranks need, at a
    fraction of the cost of an SVD. The Gram matrices are decomposed on the host, where the result stays: on a GPU each
    is a chain of small launches.
    """
    finite = matrices.isfinite().flatten(-2).all(-1)
    clean = torch.where(finite[..., None, None], matrices, torch.zeros_like(matrices)).double()
    gram = clean @ clean.mT if clean.shape[-2] <= clean.shape[-1] else clean.mT @ clean
    found = torch.linalg.eigvalsh(gram.cpu()).clamp(min=0).sqrt().flip(-1)
    return torch.where(finite.cpu()[..., None], found, torch.full_like(found, float("nan"))).float()
