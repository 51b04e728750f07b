"""The gated delta rule with a decay of each key channel (Kimi delta attention) on CPU, forward and backward.

    S_t = diag(a_t) S_{t-1} + b_t k_t (v_t - k_t diag(a_t) S_{t-1}),   S_{-1} = 0
    o_t = q_t S_t

Shapes: q, k and the decay a [batch, length, heads, keys]; v, o [batch, length, heads, values]; the write strength b
[batch, length, heads]; S [keys, values] of each head (Kimi Team 2510.26692, section 3).

`stand_in` gives it the signature of transformers' `chunk_kimi_delta_attention`, which it matches to rounding. There the
decays of a chunk become a matrix [chunk, chunk, keys] of each head, since they have no lower bound that would let them
be factored; position by position they are one product. What it does not do goes to transformers' own function, in
short chunks: states from before or asked for, tensors that are not all on the CPU, empty or other shapes, and a call
that torch.compile is tracing. As there, half precision is computed in float32; float64 in float64 (there in float32).
Gradients can be taken once.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from warmup.kernels import chunk_length
from warmup.kernels import delta_rule_loops as loops
from warmup.kernels.runtime import flat, lanes, spread

NORM_EPSILON = 1e-6
"""Added to squared norms of queries and keys (transformers' and fla's)."""


class DeltaRule(torch.autograd.Function):
    """(query, key, value, decay, strength, keep) -> out; contiguous, all float32 or all float64. `keep`: whether a
    backward pass may follow."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, decay: Tensor, strength: Tensor, keep: bool
    ) -> Tensor:
        batch, length, heads, keys = key.shape
        values = value.shape[-1]
        registers, chunks = -(-values // lanes(key)), -(-length // loops.CHUNK)
        kept = key.new_empty(batch * heads * registers * chunks * keys * lanes(key) if keep else 0)
        out = torch.empty_like(value)
        tensors = (query, key, value, decay, strength, kept)
        inputs = loops.Inputs(*map(flat, tensors))
        spread(loops.forward, batch * heads, (length, heads, keys, values), inputs, flat(out), keep)
        ctx.save_for_backward(*tensors)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_out: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        batch, length, heads, keys = tensors[1].shape
        found = [torch.empty_like(x) for x in tensors[:5]]
        inputs, gradients = loops.Inputs(*map(flat, tensors)), loops.Gradients(*map(flat, (g_out.contiguous(), *found)))
        spread(loops.backward, batch * heads, (length, heads, keys, g_out.shape[-1]), inputs, gradients)
        return *found, None


def delta_rule(query: Tensor, key: Tensor, value: Tensor, decay: Tensor, strength: Tensor) -> Tensor:
    """o of the recurrence, all of one dtype, float32 or float64."""
    tensors = [x.contiguous() for x in (query, key, value, decay, strength)]
    keep = torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
    out: Tensor = DeltaRule.apply(*tensors, keep)
    return out


def stand_in(reference: Callable) -> Callable:
    """Function with the signature of `chunk_kimi_delta_attention`; `reference` does what the kernel does not."""
    in_short_chunks = chunk_length.stand_in(reference)

    @functools.wraps(reference)
    def chunk_kimi_delta_attention(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        g: Tensor,
        beta: Tensor,
        chunk_size: int = 64,
        initial_state: Tensor | None = None,
        output_final_state: bool = False,
        use_qk_l2norm_in_kernel: bool = False,
        **options: Any,
    ) -> tuple[Tensor, Tensor | None]:
        if initial_state is not None or output_final_state or not _covered(query, key, value, g, beta):
            return in_short_chunks(
                *(query, key, value, g, beta),
                chunk_size=chunk_size,
                initial_state=initial_state,
                output_final_state=output_final_state,
                use_qk_l2norm_in_kernel=use_qk_l2norm_in_kernel,
                **options,
            )
        dtype = torch.float64 if query.dtype == torch.float64 else torch.float32
        asked, keys, values, logarithms, strength = (x.to(dtype) for x in (query, key, value, g, beta))
        if use_qk_l2norm_in_kernel:
            asked, keys = _normalised(asked), _normalised(keys)
        out = delta_rule(asked / asked.shape[-1] ** 0.5, keys, values, logarithms.exp(), strength)
        return out.to(query.dtype), None

    return chunk_kimi_delta_attention


def _normalised(vectors: Tensor) -> Tensor:
    return vectors / torch.sqrt((vectors * vectors).sum(dim=-1, keepdim=True) + NORM_EPSILON)


def _covered(query: Tensor, key: Tensor, value: Tensor, decay: Tensor, strength: Tensor) -> bool:
    """Whether the kernel does this call; see the module for what it leaves to transformers."""
    if torch.compiler.is_compiling() or value.dim() != 4 or value.numel() == 0 or key.numel() == 0:
        return False
    return (
        query.shape == key.shape == decay.shape
        and strength.shape == key.shape[:3] == value.shape[:3]
        and all(x.device.type == "cpu" and x.dtype.is_floating_point for x in (query, key, value, decay, strength))
    )
