"""Mamba-2's state space (SSD) on CPU by the compiled selective scan: a Mamba whose channels of a head share a decay.

    delta_t = clamp(softplus(dt_t + dt_bias)),  h_t = exp(delta_t A) h_{t-1} + delta_t B_t x_t,  y_t = C_t . h_t + D x_t

Shapes: x, y [batch, length, heads, size]; dt [batch, length, heads]; A, D, dt_bias [heads]; B, C [batch, length,
groups, states], each group for heads / groups consecutive heads (Dao 2405.21060, section 5).

`stand_in` gives it the signature of transformers' `mamba2_chunk_scan`, which it matches to rounding. What it does not
do goes to transformers' own function, in short chunks: states from before or asked for, a gate, packed sequences,
tensors that are not all on the CPU, empty shapes, and a call that torch.compile is tracing. As there, half precision is
computed in float32; float64 in float64 (there in float32).
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from warmup.kernels import chunk_length
from warmup.kernels.selective_scan import selective_scan


def state_space(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None = None) -> Tensor:
    """y, from the step sizes `delta` as they enter the recurrence; float32 or float64, as `x` is."""
    heads, size = x.shape[2:]
    share = heads // B.shape[2]
    outputs = []
    for group in range(B.shape[2]):
        own = slice(group * share, (group + 1) * share)
        out, _ = selective_scan(
            x[:, :, own].flatten(2).mT,
            delta[:, :, own].repeat_interleave(size, dim=2).mT,
            A[own].repeat_interleave(size)[:, None].expand(-1, B.shape[-1]),
            B[:, :, group].mT,
            C[:, :, group].mT,
            None if D is None else D[own].repeat_interleave(size),
        )
        outputs.append(out.mT.unflatten(2, (share, size)))
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)


def stand_in(reference: Callable) -> Callable:
    """Function with the signature of `mamba2_chunk_scan`; `reference` does what the scan does not."""
    in_short_chunks = chunk_length.stand_in(reference)

    @functools.wraps(reference)
    def mamba2_chunk_scan(
        hidden_states: Tensor,
        dt: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        chunk_size: int,
        D: Tensor | None = None,
        dt_bias: Tensor | None = None,
        initial_states: Tensor | None = None,
        dt_softplus: bool = False,
        dt_limit: tuple[float, float] = (0.0, float("inf")),
        return_final_states: bool = False,
        **options: Any,
    ) -> Any:
        tensors = (hidden_states, dt, A, B, C, D, dt_bias)
        other = (initial_states, *(options.get(name) for name in ("z", "seq_idx", "cu_seqlens")))
        if return_final_states or any(x is not None for x in other) or not _covered(*tensors):
            return in_short_chunks(
                *(hidden_states, dt, A, B, C),
                chunk_size=chunk_size,
                D=D,
                dt_bias=dt_bias,
                initial_states=initial_states,
                dt_softplus=dt_softplus,
                dt_limit=dt_limit,
                return_final_states=return_final_states,
                **options,
            )
        delta = dt if dt_bias is None else dt + dt_bias.to(dt.dtype)
        delta = torch.clamp(functional.softplus(delta) if dt_softplus else delta, *dt_limit)
        dtype = torch.float64 if hidden_states.dtype == torch.float64 else torch.float32
        return state_space(*(x.to(dtype) for x in (hidden_states, delta, A, B, C)), D)  # type: ignore[call-arg]

    return mamba2_chunk_scan


def _covered(x: Tensor, *others: Tensor | None) -> bool:
    """Whether the scan does this call; see the module for what it leaves to transformers."""
    return (
        not torch.compiler.is_compiling()
        and x.numel() > 0
        and all(y is None or (y.device.type == "cpu" and y.dtype.is_floating_point) for y in (x, *others))
    )
