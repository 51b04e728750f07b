"""What surrounds the WKV in RWKV-4's blocks, on NVIDIA GPUs: token shift with its mixtures in one pass, by Triton.

    mixed_j = x_t mix_j + x_{t-1} (1 - mix_j),   x_{-1} = 0;      squared = relu(x)^2

transformers writes each mixture out in four operations and keeps their float32 results for the backward pass; here
`x` is read once, mixtures are written in the precision of the products that follow, and only `x` is kept. Squared ReLU
is a product of the ReLU with itself: autocast computes `torch.square` in float32. Calls with a state (generation) go to
transformers' own method. (On a CPU the same gained 6 to 8 % of a step, docs/LOG.md, and is not worth its code.)
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS = 32
"""Positions of one unit of work; the gradient of the mixtures is summed within it, then over units in a fixed order."""

CHANNELS = 64
"""Channels of one unit of work."""


@triton.jit
def _mix(x, mixes, out, positions, length, channels, MIXTURES: tl.constexpr, CHANNELS: tl.constexpr):  # type: ignore[no-untyped-def]
    """One position [channels] of `x` -> the same of each mixture in `out` [mixtures, positions, channels]."""
    row = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    there = channel < channels
    now = tl.load(x + row * channels + channel, mask=there, other=0.0).to(tl.float32)
    first = row % length == 0
    before = tl.load(x + (row - 1) * channels + channel, mask=there & (not first), other=0.0).to(tl.float32)
    for mixture in tl.static_range(MIXTURES):
        share = tl.load(mixes + mixture * channels + channel, mask=there, other=0.0)
        mixed = now * share + before * (1.0 - share)
        tl.store(out + (mixture * positions + row) * channels + channel, mixed, mask=there)


@triton.jit
def _mix_back(  # type: ignore[no-untyped-def]
    x, mixes, g_out, g_x, g_mixes, positions, length, channels,
    MIXTURES: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """ROWS positions: `g_x` of each, and their share of `g_mixes` [units, mixtures, channels]."""
    unit = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    there = channel < channels
    row = unit * ROWS + tl.arange(0, ROWS)
    real = (row < positions)[:, None] & there[None, :]
    earlier = real & (row % length != 0)[:, None]
    later = real & (row % length != length - 1)[:, None]
    place = row[:, None] * channels + channel[None, :]
    now = tl.load(x + place, mask=real, other=0.0).to(tl.float32)
    change = now - tl.load(x + place - channels, mask=earlier, other=0.0).to(tl.float32)
    total = tl.zeros((ROWS, CHANNELS), dtype=tl.float32)
    for mixture in tl.static_range(MIXTURES):
        share = tl.load(mixes + mixture * channels + channel, mask=there, other=0.0)[None, :]
        plane = g_out + mixture * positions * channels
        g = tl.load(plane + place, mask=real, other=0.0).to(tl.float32)
        g_next = tl.load(plane + place + channels, mask=later, other=0.0).to(tl.float32)
        total += g * share + g_next * (1.0 - share)
        tl.store(g_mixes + (unit * MIXTURES + mixture) * channels + channel, tl.sum(g * change, axis=0), mask=there)
    tl.store(g_x + place, total, mask=real)


@torch.library.custom_op("warmup::token_mix", mutates_args=())
def mix(x: Tensor, mixes: Tensor, dtype: torch.dtype) -> Tensor:
    """Mixtures [mixtures, batch, length, channels] in `dtype` of x [batch, length, channels], both contiguous."""
    batch, length, channels = x.shape
    out = x.new_empty(len(mixes), *x.shape, dtype=dtype)
    grid = (batch * length, triton.cdiv(channels, CHANNELS))
    _mix[grid](x, mixes, out, batch * length, length, channels, MIXTURES=len(mixes), CHANNELS=CHANNELS)
    return out


@torch.library.custom_op("warmup::token_mix_back", mutates_args=())
def mix_back(x: Tensor, mixes: Tensor, g_out: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of x and of mixes (float32) from that of the mixtures."""
    batch, length, channels = x.shape
    units = triton.cdiv(batch * length, ROWS)
    g_x, g_mixes = torch.empty_like(x), mixes.new_empty(units, *mixes.shape)
    grid = (units, triton.cdiv(channels, CHANNELS))
    _mix_back[grid](
        x, mixes, g_out, g_x, g_mixes, batch * length, length, channels,
        MIXTURES=len(mixes), ROWS=ROWS, CHANNELS=CHANNELS,
    )  # fmt: skip
    return g_x, g_mixes.sum(0)


@mix.register_fake
def _(x: Tensor, mixes: Tensor, dtype: torch.dtype) -> Tensor:
    return x.new_empty(len(mixes), *x.shape, dtype=dtype)


@mix_back.register_fake
def _(x: Tensor, mixes: Tensor, _g_out: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(mixes)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    del output
    ctx.save_for_backward(inputs[0], inputs[1])


def _backward(ctx: Any, g_out: Tensor) -> tuple[Tensor, Tensor, None]:
    x, mixes = ctx.saved_tensors
    return *mix_back(x, mixes, g_out.contiguous()), None


mix.register_autograd(_backward, setup_context=_keep)


def mixtures(hidden: Tensor, *mixes: Tensor) -> tuple[Tensor, ...]:
    """The mixtures of hidden [batch, length, channels], in the precision that products have here."""
    kind = hidden.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
    shares = torch.stack([share.reshape(-1).float() for share in mixes])
    return mix(hidden.contiguous(), shares, dtype).unbind(0)


def key_and_value(self: Any, hidden: Tensor, state: None = None) -> tuple[Any, ...]:
    """`RwkvSelfAttention.extract_key_value` without a state: receptance, key, value, no state."""
    key, value, receptance = mixtures(hidden, self.time_mix_key, self.time_mix_value, self.time_mix_receptance)
    return torch.sigmoid(self.receptance(receptance)), self.key(key), self.value(value), state


def feed_forward(self: Any, hidden: Tensor, state: None = None) -> tuple[Tensor, Any]:
    """`RwkvFeedForward.forward` without a state."""
    key, receptance = mixtures(hidden, self.time_mix_key, self.time_mix_receptance)
    positive = torch.relu(self.key(key))
    return torch.sigmoid(self.receptance(receptance)) * self.value(positive * positive), state


def attention_stand_in(reference: Callable) -> Callable:
    """Method in the place of `RwkvSelfAttention.extract_key_value`."""

    @functools.wraps(reference)
    def extract_key_value(self: Any, hidden: Tensor, state: Any = None) -> tuple[Any, ...]:
        if state is not None or hidden.device.type != "cuda":
            return reference(self, hidden, state=state)
        return key_and_value(self, hidden)

    return extract_key_value


def feed_forward_stand_in(reference: Callable) -> Callable:
    """Method in the place of `RwkvFeedForward.forward`."""

    @functools.wraps(reference)
    def forward(self: Any, hidden: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        if state is not None or hidden.device.type != "cuda":
            return reference(self, hidden, state=state)
        return feed_forward(self, hidden)

    return forward
