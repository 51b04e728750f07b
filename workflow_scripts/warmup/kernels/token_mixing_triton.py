"""The Triton programs of token_mixing_cuda.py, in a file that only launching them imports."""

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


def launch_mix(x: Tensor, mixes: Tensor, out: Tensor) -> None:
    """Fill out [mixtures, batch, length, channels] from x [batch, length, channels], mixes [mixtures, channels]."""
    batch, length, channels = x.shape
    grid = (batch * length, triton.cdiv(channels, CHANNELS))
    _mix[grid](x, mixes, out, batch * length, length, channels, MIXTURES=len(mixes), CHANNELS=CHANNELS)


def launch_mix_back(x: Tensor, mixes: Tensor, g_out: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of x and mixes."""
    batch, length, channels = x.shape
    units = triton.cdiv(batch * length, ROWS)
    g_x, g_mixes = torch.empty_like(x), mixes.new_empty(units, *mixes.shape)
    grid = (units, triton.cdiv(channels, CHANNELS))
    _mix_back[grid](
        x, mixes, g_out, g_x, g_mixes, batch * length, length, channels,
        MIXTURES=len(mixes), ROWS=ROWS, CHANNELS=CHANNELS,
    )  # fmt: skip
    return g_x, g_mixes.sum(0)
