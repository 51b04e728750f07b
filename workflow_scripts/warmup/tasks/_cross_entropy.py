"""Mean cross-entropy of a linear head, nats per position, without ever holding the logits of all positions.

At the paper's sizes (32 x 1,024 positions, 50,257 tokens) the logits are 1.6e9 numbers: 6.6 GB in float32, three times
that with their softmax and its gradient. Positions are therefore taken in parts; the gradient of a part is formed while
its logits are there, so that the backward pass only scales it (Liger, 2410.10989, does the same). The head's matrix is
copied for the precision of the arithmetic anyway: the copy gets rows of zeros up to a multiple of ALIGNED, whose
logits are masked, since matrix units halve their speed on odd sizes. No parameter gains a row, and no result changes.

torch.nn.functional.linear_cross_entropy (torch 2.13) does not fit: it returns the loss in the dtype of the states, so
three digits under bfloat16, and adds the head's gradient up in it; docs/LOG.md.
"""

from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor
from torch.autograd.function import once_differentiable

LARGEST_PART = 2**27
"""Logits that are held at once: 2,600 positions of a vocabulary of 50,257, enough to keep a large GPU busy."""

ALIGNED = 64
"""Rows of the head's matrix are made a multiple of this; 8 would do for bfloat16, 64 fills a tile."""


def linear_cross_entropy(states: Tensor, weight: Tensor, targets: Tensor, largest: int = LARGEST_PART) -> Tensor:
    """Mean over positions of -log softmax(states weight^T)[target], float32 scalar.

    states [..., width], weight [vocabulary, width], targets [...] int64; largest: logits held at once. If all fit,
    they are formed whole: the same function up to rounding.
    """
    states, targets = states.flatten(0, -2), targets.flatten()
    if targets.numel() * len(weight) <= largest:
        return functional.cross_entropy(functional.linear(states, weight).float(), targets)
    return _in_parts(states, weight, targets, largest, None)


@torch.no_grad()
def linear_cross_entropies(
    states: Tensor, weight: Tensor, targets: Tensor, largest: int = LARGEST_PART
) -> tuple[Tensor, Tensor]:
    """(what linear_cross_entropy gives, to the last bit, the loss of each position [...] float32); no gradients."""
    shape, states, targets = targets.shape, states.flatten(0, -2), targets.flatten()
    if targets.numel() * len(weight) <= largest:
        # cross_entropy in its two steps, of which the first serves both results
        log_probabilities = functional.log_softmax(functional.linear(states, weight).float(), dim=1)
        each = -log_probabilities.gather(1, targets[:, None])
        return functional.nll_loss(log_probabilities, targets), each.view(shape)
    each = torch.empty(len(targets), device=states.device)
    return _in_parts(states, weight, targets, largest, each), each.view(shape)


def _in_parts(states: Tensor, weight: Tensor, targets: Tensor, largest: int, each: Tensor | None) -> Tensor:
    kind = states.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
    positions = max(1, largest // len(weight))
    loss: Tensor = _InParts.apply(states.to(dtype), weight, targets, positions, torch.is_grad_enabled(), each)
    return loss


class _InParts(torch.autograd.Function):
    """(states [n, width] in the precision of the arithmetic, weight, targets [n], positions in a part, whether
    gradients may be asked for, where to put each position's loss [n] or None) -> mean loss."""

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, targets: Tensor, positions: int, training: bool, each: Tensor | None
    ) -> Tensor:
        vocabulary, width = weight.shape
        wanted = [training and bool(needed) for needed in ctx.needs_input_grad[:2]]
        head = states.new_zeros(-(-vocabulary // ALIGNED) * ALIGNED, width)
        head[:vocabulary] = weight
        total = torch.zeros((), dtype=torch.float32, device=states.device)
        g_states = torch.empty_like(states) if wanted[0] else None
        g_head = torch.zeros_like(head, dtype=torch.float32) if wanted[1] else None
        with torch.autocast(states.device.type, enabled=False):
            for start in range(0, len(states), positions):
                part, chosen = states[start : start + positions], targets[start : start + positions, None]
                logits = torch.mm(part, head.t()).float()
                logits[:, vocabulary:] = -torch.inf
                log_probabilities = torch.log_softmax(logits, dim=1)
                of_targets = log_probabilities.gather(1, chosen)
                total -= of_targets.sum()
                if each is not None:
                    each[start : start + positions] = -of_targets[:, 0]
                if not any(wanted):
                    continue
                slopes = log_probabilities.exp_()
                slopes.scatter_add_(1, chosen, torch.full_like(chosen, -1, dtype=slopes.dtype))
                slopes = slopes.div_(len(states)).to(head.dtype)
                if g_states is not None:
                    torch.mm(slopes, head, out=g_states[start : start + positions])
                if g_head is not None:
                    g_head += torch.mm(slopes.t(), part)
        ctx.save_for_backward(g_states, None if g_head is None else g_head[:vocabulary])
        return total / len(states)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_loss: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None, None]:
        g_states, g_weight = ctx.saved_tensors
        return (
            None if g_states is None else g_states * g_loss.to(g_states.dtype),
            None if g_weight is None else g_weight * g_loss,
            None,
            None,
            None,
            None,
        )
