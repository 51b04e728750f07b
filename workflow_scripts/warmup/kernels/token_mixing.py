"""What surrounds the WKV in RWKV-4's blocks, on CPU: token shift with its mixtures, and squared ReLU, one pass each.

    mixed_j = x_t mix_j + x_{t-1} (1 - mix_j),   x_{-1} = 0;      squared = relu(x)^2

Once the WKV is compiled, these elementwise passes over memory cost more than it does. `attention_stand_in` replaces
`RwkvSelfAttention.extract_key_value` of transformers, `feed_forward_stand_in` `RwkvFeedForward.forward`; the linear
layers are called as before. A call with a state (generation), other devices, dtypes that are not all float32 or all
float64, and a call that torch.compile is tracing go to transformers' own function. Gradients can be taken once.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from warmup.kernels.runtime import flat, kernel, spread, summed
from warmup.kernels.simd import load_part, ones, store_part, where_greater, width, zeros

UNITS = 16
"""Sequences are cut into parts until there are about this many units of work."""

BLOCK = 1 << 14
"""Numbers in a unit of an elementwise pass: 64 KB of float32."""


@kernel
def _mix(first, last, sizes, parts, x, mixes, out):  # type: ignore[no-untyped-def]
    """Units [first, last) of batch elements x parts of the sequence: `out` [mixtures, batch, length, channels]."""
    batches, length, channels, mixtures = sizes
    lanes = width(x)
    for unit in range(first, last):
        batch, part = unit // parts, unit % parts
        for step in range(length * part // parts, length * (part + 1) // parts):
            row = (batch * length + step) * channels
            for channel in range(0, channels, lanes):
                present = min(lanes, channels - channel)
                now = load_part(x, row + channel, present)
                before = load_part(x, row + channel - channels, present) if step > 0 else zeros(x)
                for mixture in range(mixtures):
                    share = load_part(mixes, mixture * channels + channel, present)
                    place = mixture * batches * length * channels + row + channel
                    store_part(out, place, now * share + before * (ones(x) - share), present)


@kernel
def _mix_back(first, last, sizes, parts, x, mixes, g_out, g_x, g_mixes):  # type: ignore[no-untyped-def]
    """Units [first, last), as in `_mix`: fills `g_x` and `g_mixes` [batch x parts, mixtures, channels]; `g_out` is a
    tuple of one array for each mixture."""
    _, length, channels, mixtures = sizes
    lanes = width(x)
    for unit in range(first, last):
        batch, part = unit // parts, unit % parts
        own = unit * mixtures * channels
        g_mixes[own : own + mixtures * channels] = 0
        for step in range(length * part // parts, length * (part + 1) // parts):
            row = (batch * length + step) * channels
            for channel in range(0, channels, lanes):
                present = min(lanes, channels - channel)
                change = load_part(x, row + channel, present)
                if step > 0:
                    change = change - load_part(x, row + channel - channels, present)
                total = zeros(x)
                for mixture in range(mixtures):
                    index = mixture * channels + channel
                    share = load_part(mixes, index, present)
                    g = load_part(g_out[mixture], row + channel, present)
                    total = total + g * share
                    if step + 1 < length:
                        total = total + load_part(g_out[mixture], row + channel + channels, present) * (ones(x) - share)
                    store_part(g_mixes, own + index, load_part(g_mixes, own + index, present) + g * change, present)
                store_part(g_x, row + channel, total, present)


@kernel
def _square(first, last, x, out):  # type: ignore[no-untyped-def]
    """Units [first, last) of blocks: squared ReLU (NaN stays NaN)."""
    for index in range(first * BLOCK, min(last * BLOCK, x.size), width(x)):
        present = min(width(x), x.size - index)
        value = load_part(x, index, present)
        positive = where_greater(zeros(x), value, zeros(x), value)
        store_part(out, index, positive * positive, present)


@kernel
def _square_back(first, last, x, g_out, g_x):  # type: ignore[no-untyped-def]
    for index in range(first * BLOCK, min(last * BLOCK, x.size), width(x)):
        present = min(width(x), x.size - index)
        value = load_part(x, index, present)
        positive = where_greater(zeros(x), value, zeros(x), value)
        store_part(g_x, index, (positive + positive) * load_part(g_out, index, present), present)


class TokenMix(torch.autograd.Function):
    """(x [batch, length, channels], mixes [mixtures, channels]) -> one mixed [batch, length, channels] per mixture."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, mixes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x, mixes = x.contiguous(), mixes.contiguous()
        out = x.new_empty(len(mixes), *x.shape)
        parts = _parts(x)
        spread(_mix, len(x) * parts, (*x.shape, len(mixes)), parts, flat(x), flat(mixes), flat(out))
        ctx.save_for_backward(x, mixes)
        return tuple(out.unbind(0))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *g_out: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, mixes = ctx.saved_tensors
        parts = _parts(x)
        g_x, g_mixes = torch.empty_like(x), x.new_empty(len(x) * parts, *mixes.shape)
        g_planes = tuple(flat(g.contiguous()) for g in g_out)
        arguments = (flat(x), flat(mixes), g_planes, flat(g_x), flat(g_mixes))
        spread(_mix_back, len(x) * parts, (*x.shape, len(mixes)), parts, *arguments)
        return g_x, summed(g_mixes)


class SquaredReLU(torch.autograd.Function):
    """relu(x)^2."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        x = x.contiguous()
        out = torch.empty_like(x)
        spread(_square, -(-x.numel() // BLOCK), flat(x), flat(out))
        ctx.save_for_backward(x)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_out: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        g_x = torch.empty_like(x)
        spread(_square_back, -(-x.numel() // BLOCK), flat(x), flat(g_out.contiguous()), flat(g_x))
        return g_x


def _parts(x: torch.Tensor) -> int:
    return min(x.shape[1], -(-UNITS // len(x)))


def _mixtures(hidden: torch.Tensor, *mixes: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return TokenMix.apply(hidden, torch.stack([mix.reshape(-1) for mix in mixes]))


def attention_stand_in(reference: Callable) -> Callable:
    """Method in the place of `RwkvSelfAttention.extract_key_value`."""

    @functools.wraps(reference)
    def extract_key_value(self: Any, hidden: torch.Tensor, state: Any = None) -> tuple[Any, ...]:
        mixes = (self.time_mix_key, self.time_mix_value, self.time_mix_receptance)
        if state is not None or not _covered(hidden, *mixes):
            return reference(self, hidden, state=state)
        key, value, receptance = _mixtures(hidden, *mixes)
        return torch.sigmoid(self.receptance(receptance)), self.key(key), self.value(value), None

    return extract_key_value


def feed_forward_stand_in(reference: Callable) -> Callable:
    """Method in the place of `RwkvFeedForward.forward`."""

    @functools.wraps(reference)
    def forward(self: Any, hidden: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        mixes = (self.time_mix_key, self.time_mix_receptance)
        if state is not None or not _covered(hidden, *mixes):
            return reference(self, hidden, state=state)
        key, receptance = _mixtures(hidden, *mixes)
        value = self.value(_squared_relu(self.key(key)))
        return torch.sigmoid(self.receptance(receptance)) * value, None

    return forward


def _squared_relu(x: torch.Tensor) -> torch.Tensor:
    """Half precision, as autocast's linear layers return it, is left to PyTorch."""
    return SquaredReLU.apply(x) if x.dtype in (torch.float32, torch.float64) else torch.square(torch.relu(x))


def _covered(hidden: torch.Tensor, *mixes: torch.Tensor) -> bool:
    """Whether the kernels do this call; see the module for what they leave to transformers."""
    if torch.compiler.is_compiling() or hidden.dim() != 3 or hidden.numel() == 0:
        return False
    return hidden.dtype in (torch.float32, torch.float64) and all(
        x.device.type == "cpu" and x.dtype == hidden.dtype and x.numel() == hidden.shape[2]
        for x in (*mixes, hidden[0, 0])
    )
