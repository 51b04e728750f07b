"""RWKV-4's WKV on CPU, forward and backward: an attention-like mean of values whose weights decay with distance.

    w     = -exp(time_decay)
    out_t = (sum_{i<t} e^{(t-1-i) w + k_i} v_i + e^{u + k_t} v_t) / (sum_{i<t} e^{(t-1-i) w + k_i} + e^{u + k_t})

Shapes: time_decay and u (`time_first`) [channels]; key, value, out [batch, length, channels]; state: three tensors
[batch, channels] (numerator and denominator of the past, both over exp(scale), and that scale).

`stand_in` gives it the signature of transformers' `rwkv_linear_attention_cpu`, which it matches to rounding. What it
does not do goes to transformers' own function: gradients through a given or returned state, tensors that are not all
on the CPU, empty or broadcast shapes, and a call that torch.compile is tracing. Half precision is computed in float32
and rounded at the end, float64 in float64 (the loop there holds its sums in float32). Gradients can be taken once.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from warmup.kernels import wkv_loops as loops
from warmup.kernels.runtime import flat, lanes, spread, strides, summed

EMPTY_SCALE = -1e38
"""Scale of a past without steps, as in transformers: finite, so that no difference is NaN."""


class WKV(torch.autograd.Function):
    """(decay, first, key, value, state [3, batch, channels], keep) -> out; tensors all float32 or all float64.
    decay is -exp(time_decay). `state` is changed in place; `keep`: whether a backward pass may follow."""

    @staticmethod
    def forward(
        ctx: Any,
        decay: torch.Tensor,
        first: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        state: torch.Tensor,
        keep: bool,
    ) -> torch.Tensor:
        batch, length, channels = key.shape
        registers, chunks = -(-channels // lanes(key)), -(-length // loops.CHUNK)
        out = torch.empty_like(key, memory_format=torch.contiguous_format)
        kept = key.new_empty(batch * registers * chunks * 3 * lanes(key) if keep else 0)
        tensors = (decay.contiguous(), first.contiguous(), key, value, kept)
        inputs, jumps = loops.Inputs(*map(flat, tensors)), strides([key, value, out])
        spread(
            loops.forward,
            batch * -(-registers // loops.BLOCK),
            tuple(key.shape),
            jumps,
            inputs,
            flat(state),
            flat(out),
            keep,
        )
        ctx.save_for_backward(*tensors)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_out: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        tensors = ctx.saved_tensors
        key, value = tensors[2:4]
        batch, _, channels = key.shape
        g_decay, g_first = key.new_empty(batch, channels), key.new_empty(batch, channels)
        g_key, g_value = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (key, value))
        gradients = loops.Gradients(*map(flat, (g_out, g_decay, g_first, g_key, g_value)))
        inputs, jumps = loops.Inputs(*map(flat, tensors)), strides([key, value, g_out, g_key, g_value])
        registers = -(-channels // lanes(key))
        spread(loops.backward, batch * -(-registers // loops.BLOCK), tuple(key.shape), jumps, inputs, gradients)
        return summed(g_decay), summed(g_first), g_key, g_value, None, None


def wkv(
    time_decay: torch.Tensor,
    time_first: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    state: Sequence[torch.Tensor] | None = None,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Output [batch, length, channels] in the dtype of `key`, and the state after the last step (without gradient)."""
    dtype = torch.float64 if key.dtype == torch.float64 else torch.float32
    tensors = [x.to(dtype) for x in (-torch.exp(time_decay), time_first, key, value)]
    keep = torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
    batch, _, channels = key.shape
    carried = torch.zeros(3, batch, channels, dtype=dtype)
    if state is None:
        carried[2] = EMPTY_SCALE
    else:
        for own, given in zip(carried, state, strict=True):
            own.copy_(given)
    out = WKV.apply(*tensors, carried, keep)
    return out.to(key.dtype), list(carried.unbind(0))


def stand_in(reference: Callable) -> Callable:
    """Function with the signature of `rwkv_linear_attention_cpu`; `reference` does what the kernel does not."""

    @functools.wraps(reference)
    def rwkv_linear_attention_cpu(
        time_decay: torch.Tensor,
        time_first: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        state: Sequence[torch.Tensor] | None = None,
        return_state: bool = False,
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor] | None]:
        stateful = return_state or state is not None
        tensors = (time_decay, time_first, key, value)
        if not _covered(*tensors, *(state or ()), stateful=stateful):
            return reference(*tensors, state=state, return_state=return_state)
        out, after = wkv(*tensors, state)
        return out, after if stateful else None

    return rwkv_linear_attention_cpu


def _covered(*tensors: torch.Tensor, stateful: bool) -> bool:
    """Whether the kernel does this call; see the module for what it leaves to transformers."""
    differentiable = torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
    key = tensors[2]
    if torch.compiler.is_compiling() or key.dim() != 3 or (stateful and differentiable):
        return False
    batch, _, channels = key.shape
    shapes = [(channels,), (channels,), key.shape, key.shape, *[(batch, channels)] * (len(tensors) - 4)]
    return key.numel() > 0 and all(
        x.shape == shape and x.device.type == "cpu" and x.dtype.is_floating_point
        for x, shape in zip(tensors, shapes, strict=True)
    )
