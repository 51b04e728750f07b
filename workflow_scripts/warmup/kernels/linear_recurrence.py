"""The recurrence of the RG-LRU (RecurrentGemma), whose scan transformers writes as a loop over positions.

    h_t = a_t h_{t-1} + x_t,   h_{-1} = 0

Shapes: a, x, h [batch, positions, channels]. In plain PyTorch: pairs of positions are joined, then fours, eights ... so
log2(positions) steps over all positions take the place of one step for each, and no step divides (decays may be 0).
Backward is the same recurrence from the end: with g_t = dh_t + a_{t+1} g_{t+1}, dx_t = g_t and da_t = g_t h_{t-1}.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def scan(decay: Tensor, inputs: Tensor) -> Tensor:
    """h of the recurrence, without a gradient."""
    states, products = inputs.clone(), decay.clone()
    reach = 1
    while reach < states.shape[1]:
        joined = products[:, reach:] * states[:, :-reach]
        states[:, reach:] += joined
        products[:, reach:] = products[:, reach:] * products[:, :-reach]
        reach *= 2
    return states


class LinearRecurrence(torch.autograd.Function):
    """`scan` with the gradients of both of its inputs; what is kept is the decay and the states."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, inputs: Tensor) -> Tensor:
        states = scan(decay, inputs)
        ctx.save_for_backward(decay, states)
        return states

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor]:
        decay, states = ctx.saved_tensors
        following = torch.cat([decay[:, 1:], torch.zeros_like(decay[:, :1])], dim=1)
        gradient = scan(following.flip(1), upstream.flip(1)).flip(1)
        before = torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], dim=1)
        return gradient * before, gradient


def stand_in(reference: Callable) -> Callable:
    """In the place of `RecurrentGemmaRglru._rnn_scan`; one position, or states from before, go to `reference`."""

    @functools.wraps(reference)
    def _rnn_scan(
        self: Any,
        hidden_states: Tensor,
        recurrent_gate: Tensor,
        reset: Tensor,
        recurrent_states: Tensor | None,
        acc_dtype: torch.dtype = torch.float32,
    ) -> tuple[Tensor, Tensor]:
        if hidden_states.shape[1] == 1 or recurrent_states is not None:
            return reference(self, hidden_states, recurrent_gate, reset, recurrent_states, acc_dtype)
        states = LinearRecurrence.apply((recurrent_gate * ~reset).type(acc_dtype), hidden_states.type(acc_dtype))
        return states.type(hidden_states.dtype), states[:, -1]

    return _rnn_scan
