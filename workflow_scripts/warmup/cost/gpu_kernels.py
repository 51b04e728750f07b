"""What the GPU kernels of mamba-ssm, causal-conv1d and fla take, refuse and keep, without computing anything.

In: tensors without memory (FakeTensorMode). Out: tensors of the right shape and dtype, with autograd keeping what the
kernels keep for their backward pass. Dtypes, strides and sizes that the kernels' own checks refuse raise RuntimeError
here too. Read in: state-spaces/mamba csrc/selective_scan/selective_scan.cpp and ops/selective_scan_interface.py,
Dao-AILab/causal-conv1d csrc/causal_conv1d.cpp, fla/ops/rwkv4/fused_recurrent.py (fla-core 0.6).
"""

from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

HALF = (torch.float32, torch.float16, torch.bfloat16)
SCAN_CHUNK = 2048
"""Positions between the states that the selective scan keeps."""
LARGEST_STATE = 256


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise RuntimeError(f"refused by the kernel: {what}")


def check_convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """causal_conv1d_fwd's checks of x [batch, channels, length], weight [channels, width]."""
    _require(x.dtype in HALF and weight.dtype in HALF, f"causal_conv1d of {x.dtype} by {weight.dtype}")
    _require(x.dim() == 3 and weight.shape[0] == x.shape[1] and weight.dim() == 2, "causal_conv1d: shapes")
    _require(x.stride(2) == 1 or x.stride(1) == 1, f"causal_conv1d: strides {x.stride()}")
    _require(2 <= weight.shape[1] <= 4, f"causal_conv1d: width {weight.shape[1]}")
    if x.stride(1) == 1 and x.stride(2) > 1:
        _require(x.shape[1] % 8 == 0, f"causal_conv1d, channels last: {x.shape[1]} channels")
        _require(x.stride(2) % 8 == 0 and x.stride(0) % 8 == 0, f"causal_conv1d, channels last: strides {x.stride()}")
    if bias is not None:
        _require(bias.dtype == weight.dtype and bias.stride(-1) == 1, f"causal_conv1d: bias of {bias.dtype}")


def check_scan(
    u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor | None, z: Tensor | None, bias: Tensor | None
) -> None:
    """selective_scan_fwd's checks of u, delta, z [batch, channels, length], a [channels, states], b, c
    [batch, groups, states, length], d and bias [channels]."""
    _require(u.dtype in HALF and a.dtype == torch.float32, f"selective_scan of {u.dtype} with A in {a.dtype}")
    for name, tensor in {"delta": delta, "B": b, "C": c, "z": z}.items():
        if tensor is not None:
            _require(tensor.dtype == u.dtype, f"selective_scan of {u.dtype} with {name} in {tensor.dtype}")
            _require(tensor.stride(-1) == 1 or tensor.shape[-1] == 1, f"selective_scan: strides of {name}")
    _require(u.stride(-1) == 1 or u.shape[-1] == 1, "selective_scan: strides of u")
    _require(a.shape[1] <= LARGEST_STATE, f"selective_scan: {a.shape[1]} states")
    for name, tensor in {"D": d, "delta_bias": bias}.items():
        if tensor is not None:
            _require(
                tensor.dtype == torch.float32 and tensor.stride(-1) == 1, f"selective_scan: {name} in {tensor.dtype}"
            )
            _require(tensor.shape == u.shape[1:2], f"selective_scan: shape of {name}")


def _rows_first(tensor: Tensor) -> Tensor:
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def _kept_states(u: Tensor, a: Tensor) -> Tensor:
    chunks = -(-u.shape[2] // SCAN_CHUNK)
    return a.new_empty(u.shape[0], u.shape[1], chunks, 2 * a.shape[1])


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if x.stride(2) != 1 and x.stride(1) != 1:
            x = x.contiguous()
        bias = None if bias is None else bias.contiguous()
        check_convolution(x, weight, bias)
        ctx.save_for_backward(x, weight, bias)
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx: Any, g_out: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        g_out.contiguous()
        return torch.empty_like(x), torch.empty_like(weight), None if bias is None else torch.empty_like(bias)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor,
        d: Tensor | None, z: Tensor | None, bias: Tensor | None,
    ) -> Tensor:  # fmt: skip
        u, delta, b, c = (_rows_first(tensor) for tensor in (u, delta, b, c))
        z = None if z is None else _rows_first(z)
        check_scan(u, delta, a, b[:, None], c[:, None], d, z, bias)
        out = torch.empty_like(delta)
        ctx.save_for_backward(u, delta, a, b, c, d, z, bias, _kept_states(u, a), out)
        return out if z is None else torch.empty_like(z)

    @staticmethod
    def backward(ctx: Any, g_out: Tensor) -> tuple[Tensor | None, ...]:
        _rows_first(g_out)
        return tuple(None if kept is None else torch.empty_like(kept) for kept in ctx.saved_tensors[:8])


class _Inner(torch.autograd.Function):
    """mamba_ssm's MambaInnerFn, checkpoint_lvl 1: convolution, projections, scan and output product in one."""

    @staticmethod
    def forward(
        ctx: Any, xz: Tensor, conv_weight: Tensor, conv_bias: Tensor | None, x_proj: Tensor, delta_proj: Tensor,
        out_proj: Tensor, out_bias: Tensor | None, a: Tensor, d: Tensor, bias: Tensor | None,
    ) -> Tensor:  # fmt: skip
        kind = xz.device.type
        ctx.dtypes = [None if tensor is None else tensor.dtype for tensor in (x_proj, delta_proj, out_proj, out_bias)]
        if torch.is_autocast_enabled(kind):
            dtype = torch.get_autocast_dtype(kind)
            x_proj, delta_proj, out_proj = x_proj.to(dtype), delta_proj.to(dtype), out_proj.to(dtype)
            out_bias = None if out_bias is None else out_bias.to(dtype)
        xz = _rows_first(xz)
        weight = conv_weight[:, 0]
        x, z = xz.chunk(2, dim=1)
        check_convolution(x, weight, conv_bias)
        convolved = torch.empty_like(x)
        states, length = a.shape[1], xz.shape[-1]
        rank = delta_proj.shape[1]
        small = functional.linear(convolved.transpose(1, 2).flatten(0, 1), x_proj)
        delta = (delta_proj @ small[:, :rank].t()).unflatten(1, (-1, length)).transpose(0, 1)
        b, c = (
            part.unflatten(0, (-1, length)).transpose(1, 2)[:, None].contiguous()
            for part in (small[:, rank : rank + states], small[:, -states:])
        )
        check_scan(convolved, delta, a, b, c, d, z, bias)
        out, gated = torch.empty_like(delta), torch.empty_like(z)
        ctx.save_for_backward(
            xz, conv_weight, conv_bias, small, x_proj, delta_proj, out_proj, out_bias, a, b, c, d, bias,
            _kept_states(convolved, a), out,
        )  # fmt: skip
        return functional.linear(gated.transpose(1, 2), out_proj, out_bias)

    @staticmethod
    def backward(ctx: Any, g_out: Tensor) -> tuple[Tensor | None, ...]:
        del g_out
        xz, conv_weight, conv_bias, small, x_proj, delta_proj, out_proj, out_bias, a, _, _, d, bias, _, out = (
            ctx.saved_tensors
        )
        convolved, delta = torch.empty_like(out), torch.empty_like(out)  # computed again
        g_xz, g_y = torch.empty_like(xz), torch.empty_like(out)
        g_convolved, g_delta, again = torch.empty_like(convolved), torch.empty_like(delta), torch.empty_like(out)
        del again, g_convolved, g_delta, g_y
        g_small = torch.empty_like(small)
        del g_small
        like = [
            None if tensor is None else torch.empty_like(tensor, dtype=dtype)
            for tensor, dtype in zip((x_proj, delta_proj, out_proj, out_bias), ctx.dtypes, strict=True)
        ]
        return (
            g_xz, torch.empty_like(conv_weight), None if conv_bias is None else torch.empty_like(conv_bias), *like,
            torch.empty_like(a), torch.empty_like(d), None if bias is None else torch.empty_like(bias),
        )  # fmt: skip


class _Wkv(torch.autograd.Function):
    """fla's fused_recurrent_rwkv4: keeps the state after every position, three numbers per channel in float32."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        batch, length, channels = k.shape
        _require(w.shape == u.shape == (channels,) and k.shape == v.shape, "fused_recurrent_rwkv4: shapes")
        _require(state.shape == (batch, 3, 1, channels), f"fused_recurrent_rwkv4: state of {tuple(state.shape)}")
        _require(all(x.is_contiguous() for x in (w, u, k, v)), "fused_recurrent_rwkv4: strides")
        states = k.new_empty(batch, 3, length + 1, channels)
        ctx.save_for_backward(w, u, k, v, states[:, :, :-1])
        return torch.empty_like(k), states[:, :, -1:]

    @staticmethod
    def backward(ctx: Any, g_out: Tensor, g_state: Tensor) -> tuple[Tensor, ...]:
        w, u, k, v, _ = ctx.saved_tensors
        del g_out
        return (*(torch.empty_like(x) for x in (w, u, k, v)), torch.empty_like(g_state))


def causal_conv1d_fn(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, seq_idx: None = None, initial_states: None = None,
    return_final_states: bool = False, final_states_out: None = None, activation: str | None = None, **beside: Any,
) -> Tensor:  # fmt: skip
    """causal_conv1d's function of the same name, without what layers say `beside` (Qwen3-Next: use_cache)."""
    del beside, seq_idx, initial_states, return_final_states, final_states_out
    _require(activation in (None, "silu", "swish"), f"causal_conv1d: activation {activation}")
    out: Tensor = _Convolution.apply(x, weight, bias)
    return out


def selective_scan_fn(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None = None, z: Tensor | None = None,
    delta_bias: Tensor | None = None, delta_softplus: bool = False, return_last_state: bool = False,
) -> Tensor:  # fmt: skip
    """mamba_ssm's function of the same name."""
    del delta_softplus
    _require(not return_last_state, "the last state is not asked for in training")
    out: Tensor = _Scan.apply(u, delta, A, B, C, D, z, delta_bias)
    return out


def mamba_inner_fn(
    xz: Tensor, conv1d_weight: Tensor, conv1d_bias: Tensor | None, x_proj_weight: Tensor, delta_proj_weight: Tensor,
    out_proj_weight: Tensor, out_proj_bias: Tensor | None, A: Tensor, B: None = None, C: None = None,
    D: Tensor | None = None, delta_bias: Tensor | None = None, B_proj_bias: None = None, C_proj_bias: None = None,
    delta_softplus: bool = True,
) -> Tensor:  # fmt: skip
    """mamba_ssm's function of the same name."""
    del B, C, B_proj_bias, C_proj_bias, delta_softplus
    out: Tensor = _Inner.apply(
        xz,
        conv1d_weight,
        conv1d_bias,
        x_proj_weight,
        delta_proj_weight,
        out_proj_weight,
        out_proj_bias,
        A,
        D,
        delta_bias,
    )
    return out


def fused_recurrent_rwkv4(w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """fla's function of the same name."""
    out: tuple[Tensor, Tensor] = _Wkv.apply(w, u, k, v, state)
    return out
