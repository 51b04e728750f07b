"""Mamba's selective scan on CPU: forward and backward, with discretisation, softplus, skip and gate in one pass.

    delta = softplus(dt + delta_bias)
    h_t   = exp(delta_t A) h_{t-1} + delta_t B_t u_t,   h_{-1} = 0
    out_t = (C_t . h_t + D u_t) silu(z_t)

Shapes: u, dt, z, out [batch, channels, length]; A [channels, states]; B, C [batch, states, length]; D, delta_bias
[channels]; last state [batch, channels, states].

`stand_in` gives it the signature of transformers' `mamba_selective_scan` (models Mamba, Jamba, Falcon-Mamba, Zamba),
whose loop over steps it matches to rounding. What it does not do goes to transformers' own function: tensors that are
not all on the CPU, numbers other than floating point, empty or broadcast shapes, packed sequences, and a
call that torch.compile is tracing. `use_mambapy` and `use_associative_scan` choose between equal results there
and make no difference here. Half precision is computed in float32 and rounded once, at the end; float64 throughout in
float64 (the loop there rounds B to float32). Gradients can be taken once, not twice.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from warmup.kernels import selective_scan_loops as loops
from warmup.kernels.runtime import channels_last, flat, lanes, spread, strides, summed

UNITS = 16
"""Channels are divided into groups until there are about this many units of work."""


class SelectiveScan(torch.autograd.Function):
    """(u, dt, A, B, C, D | None, z | None, delta_bias | None, softplus, keep) -> (out, last state); all tensors of one
    dtype, float32 or float64, on the CPU. `keep`: whether a backward pass may follow."""

    @staticmethod
    def forward(
        ctx: Any,
        u: torch.Tensor,
        dt: torch.Tensor,
        A: torch.Tensor,
        B: torch.Tensor,
        C: torch.Tensor,
        D: torch.Tensor | None,
        z: torch.Tensor | None,
        bias: torch.Tensor | None,
        softplus: bool,
        keep: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        batch, channels, length = u.shape
        states = A.shape[1]
        registers, chunks = -(-channels // lanes(u)), -(-length // loops.CHUNK)
        out = channels_last(u)
        final = u.new_empty(batch, channels, states)
        kept = u.new_empty(batch * registers * chunks * states * lanes(u) if keep else 0)
        absent = u.new_zeros(channels)
        gate = u if z is None else z
        tensors = [
            u,
            dt,
            gate,
            A.contiguous(),
            B,
            C,
            *((absent if x is None else x.contiguous()) for x in (D, bias)),
            kept,
        ]
        inputs = loops.Inputs(*map(flat, tensors))
        jumps = strides([u, dt, gate, B, C, out])
        groups = _groups(batch, registers)
        sizes = (channels, length, states)
        arguments = (sizes, groups, jumps, inputs, flat(out), flat(final), softplus, z is not None, keep)
        spread(loops.forward, batch * groups, *arguments)
        ctx.save_for_backward(*tensors)
        ctx.options = softplus, z is not None, D is not None, bias is not None
        ctx.set_materialize_grads(False)
        return out, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_out: torch.Tensor | None, g_final: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        tensors = ctx.saved_tensors
        u, dt, z, A, B, C = tensors[:6]
        softplus, gated, skips, biased = ctx.options
        batch, channels, length = u.shape
        states = A.shape[1]
        registers = -(-channels // lanes(u))
        groups = _groups(batch, registers)
        g_out = u.new_zeros(()).expand(u.shape) if g_out is None else g_out
        g_final = u.new_zeros(batch, channels, states) if g_final is None else g_final.contiguous()
        g_u, g_dt = channels_last(u), channels_last(u)
        g_z = channels_last(u) if gated else g_u
        g_A, g_D, g_bias = (
            u.new_empty(batch, channels, states),
            u.new_empty(batch, channels),
            u.new_empty(batch, channels),
        )
        g_B, g_C = u.new_empty(2, groups, batch, length, states)
        gradients = loops.Gradients(*map(flat, (g_out, g_final, g_u, g_dt, g_z, g_A, g_B, g_C, g_D, g_bias)))
        jumps = strides([u, dt, z, B, C, g_out, g_u, g_dt, g_z])
        arguments = (
            (channels, length, states),
            groups,
            jumps,
            loops.Inputs(*map(flat, tensors)),
            gradients,
            softplus,
            gated,
        )
        spread(loops.backward, batch * groups, *arguments)
        return (
            g_u,
            g_dt,
            summed(g_A),
            summed(g_B).transpose(1, 2),
            summed(g_C).transpose(1, 2),
            summed(g_D) if skips else None,
            g_z if gated else None,
            summed(g_bias) if biased else None,
            None,
            None,
        )


def _groups(batch: int, registers: int) -> int:
    return min(registers, -(-UNITS // batch))


def selective_scan(
    u: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None = None,
    z: torch.Tensor | None = None,
    delta_bias: torch.Tensor | None = None,
    delta_softplus: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Output [batch, channels, length] in the dtype of `u`, and the last state [batch, channels, states] in the dtype
    of the computation (float64 if `u` has it, else float32). Formulas and shapes: see the module."""
    dtype = torch.float64 if u.dtype == torch.float64 else torch.float32
    tensors = [None if x is None else x.to(dtype) for x in (u, dt, A, B, C, D, z, delta_bias)]
    keep = torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors)
    out, final = SelectiveScan.apply(*tensors, delta_softplus, keep)
    return out.to(u.dtype), final


def stand_in(reference: Callable) -> Callable:
    """Function with the signature of `mamba_selective_scan`; `reference` does what the kernel does not."""

    @functools.wraps(reference)
    def mamba_selective_scan(
        hidden_states: torch.Tensor,
        dt: torch.Tensor,
        A: torch.Tensor,
        B: torch.Tensor,
        C: torch.Tensor,
        D: torch.Tensor | None = None,
        z: torch.Tensor | None = None,
        delta_bias: torch.Tensor | None = None,
        delta_softplus: bool = False,
        return_last_state: bool = False,
        **options: Any,
    ) -> Any:
        tensors = (hidden_states, dt, A, B, C, D, z, delta_bias)
        packed = any(options.get(name) is not None for name in ("seq_idx", "cu_seqlens"))
        if packed or not _covered(*tensors):
            return reference(*tensors, delta_softplus, return_last_state, **options)
        out, final = selective_scan(*tensors, delta_softplus)
        return (out, final) if return_last_state else out

    return mamba_selective_scan


def _covered(u: torch.Tensor, *others: torch.Tensor | None) -> bool:
    """Whether the kernel does this call; see the module for what it leaves to transformers."""
    if u.dim() != 3 or others[1] is None or others[1].dim() != 2 or torch.compiler.is_compiling():
        return False
    (batch, channels, length), states = u.shape, others[1].shape[1]
    sequence, projection, row = (batch, channels, length), (batch, states, length), (channels,)
    expected = (sequence, (channels, states), projection, projection, row, sequence, row)
    return u.numel() * states > 0 and all(
        x is None or (x.shape == shape and x.device.type == "cpu" and x.dtype.is_floating_point)
        for x, shape in zip((u, *others), (sequence, *expected), strict=True)
    )
