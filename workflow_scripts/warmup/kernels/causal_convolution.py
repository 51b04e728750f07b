"""Causal convolution of each channel on its own, with bias and SiLU, on CPU: forward and backward in one pass each.

    out_t = silu(bias + sum_j weight_j x_{t - taps + 1 + j}),   x_t = 0 for t < 0

Shapes: x, out [batch, channels, length]; weight [channels, taps]; bias [channels]. It surrounds the scan in Mamba's
mixers, where it is the next largest cost. `stand_in` gives it the signature of transformers' `causal_conv1d_fn`; other
activations, other devices, other dtypes than one of float32 and float64, packed sequences, empty or broadcast shapes,
and a call that torch.compile is tracing go to transformers' own function. Gradients can be taken once, not twice.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from torch.autograd.function import once_differentiable

from warmup.kernels.elementary import sigmoid
from warmup.kernels.runtime import channels_last, flat, kernel, lanes, spread, strides, summed
from warmup.kernels.simd import load, ones, read_tile, scratch, store, width, write_tile, zeros


class Inputs(NamedTuple):
    """Flat views of x, weight [channels, taps] and bias [channels]."""

    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray


class Gradients(NamedTuple):
    """Flat arrays: `out` comes in, the rest is filled; weight [batch, channels, taps], bias [batch, channels]."""

    out: np.ndarray
    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray


@njit
def _read(source, jumps, batch, channel, length, present, tile):  # type: ignore[no-untyped-def]
    """All steps of a register of channels."""
    read_tile(source, batch * jumps[0] + channel * jumps[1], jumps[2], jumps[1], length, present, tile)


@njit
def _read_parameters(inputs, channel, taps, present, tile, weights):  # type: ignore[no-untyped-def]
    """Weights [taps, lanes] into `weights`; returns the register of biases."""
    read_tile(inputs.weight, channel * taps, 1, taps, taps, present, weights)
    read_tile(inputs.bias, channel, 0, 1, 1, present, tile)
    return load(tile, 0)


@kernel
def _forward(first, last, sizes, jumps, inputs, out, activated):  # type: ignore[no-untyped-def]
    """Units [first, last) of batch elements x registers of channels: fills `out`."""
    channels, length, taps = sizes
    lanes = width(out)
    registers = (channels + lanes - 1) // lanes
    weights = scratch(taps * lanes, out)
    # The steps before the first, which are zero, stand before the others.
    padded, tile_out = scratch((taps - 1 + length) * lanes, out), scratch(length * lanes, out)
    for unit in range(first, last):
        batch, channel = unit // registers, unit % registers * lanes
        present = min(lanes, channels - channel)
        bias = _read_parameters(inputs, channel, taps, present, tile_out, weights)
        _read(inputs.x, jumps[0], batch, channel, length, present, padded[(taps - 1) * lanes :])
        for index in range(0, (taps - 1) * lanes, lanes):
            store(padded, index, zeros(bias))
        for index in range(0, length * lanes, lanes):
            value = bias
            for place in range(0, taps * lanes, lanes):
                value = value + load(weights, place) * load(padded, index + place)
            if activated:
                value = value * sigmoid(value)
            store(tile_out, index, value)
        start = batch * jumps[1, 0] + channel * jumps[1, 1]
        write_tile(tile_out, length, present, out, start, jumps[1, 2], jumps[1, 1])


@kernel
def _backward(first, last, sizes, jumps, inputs, g, activated):  # type: ignore[no-untyped-def]
    """Units [first, last) of batch elements x registers of channels: fills the gradients `g`."""
    channels, length, taps = sizes
    lanes = width(g.x)
    registers = (channels + lanes - 1) // lanes
    weights, g_weights = scratch(taps * lanes, g.x), scratch(taps * lanes, g.x)
    padded = scratch((taps - 1 + length) * lanes, g.x)
    # Gradients before the activation; those of the steps after the last, which are zero, follow.
    tile_g = scratch((length + taps - 1) * lanes, g.x)
    for unit in range(first, last):
        batch, channel = unit // registers, unit % registers * lanes
        present = min(lanes, channels - channel)
        bias = _read_parameters(inputs, channel, taps, present, tile_g, weights)
        _read(inputs.x, jumps[0], batch, channel, length, present, padded[(taps - 1) * lanes :])
        _read(g.out, jumps[1], batch, channel, length, present, tile_g)
        for index in range(0, (taps - 1) * lanes, lanes):
            store(padded, index, zeros(bias))
            store(tile_g, length * lanes + index, zeros(bias))
        for place in range(0, taps * lanes, lanes):
            store(g_weights, place, zeros(bias))
        g_bias = zeros(bias)
        for index in range(0, length * lanes, lanes):
            g_value = load(tile_g, index)
            if activated:
                value = bias
                for place in range(0, taps * lanes, lanes):
                    value = value + load(weights, place) * load(padded, index + place)
                share = sigmoid(value)
                g_value = g_value * share * (ones(value) + value * (ones(value) - share))
                store(tile_g, index, g_value)
            g_bias = g_bias + g_value
            for place in range(0, taps * lanes, lanes):
                store(g_weights, place, load(g_weights, place) + g_value * load(padded, index + place))
        for index in range(0, length * lanes, lanes):
            g_value = zeros(bias)
            for place in range(0, taps * lanes, lanes):
                g_value = g_value + load(weights, place) * load(tile_g, index + (taps - 1) * lanes - place)
            store(padded, index, g_value)
        write_tile(padded, length, present, g.x, batch * jumps[2, 0] + channel * jumps[2, 1], jumps[2, 2], jumps[2, 1])
        write_tile(g_weights, taps, present, g.weight, (batch * channels + channel) * taps, 1, taps)
        store(padded, 0, g_bias)
        write_tile(padded, 1, present, g.bias, batch * channels + channel, 0, 1)


class CausalConvolution(torch.autograd.Function):
    """(x, weight, bias | None, activated) -> out; all tensors of one dtype, float32 or float64."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, activated: bool
    ) -> torch.Tensor:
        batch, channels, length = x.shape
        out = channels_last(x)
        tensors = (x, weight.contiguous(), x.new_zeros(channels) if bias is None else bias.contiguous())
        sizes = (channels, length, weight.shape[1])
        arguments = (sizes, strides([x, out]), Inputs(*map(flat, tensors)), flat(out), activated)
        spread(_forward, batch * -(-channels // lanes(x)), *arguments)
        ctx.save_for_backward(*tensors)
        ctx.options = activated, bias is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_out: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, _ = tensors = ctx.saved_tensors
        activated, biased = ctx.options
        (batch, channels, length), taps = x.shape, weight.shape[1]
        g_x, g_weight, g_bias = channels_last(x), x.new_empty(batch, channels, taps), x.new_empty(batch, channels)
        gradients = Gradients(*map(flat, (g_out, g_x, g_weight, g_bias)))
        arguments = (strides([x, g_out, g_x]), Inputs(*map(flat, tensors)), gradients, activated)
        spread(_backward, batch * -(-channels // lanes(x)), (channels, length, taps), *arguments)
        return g_x, summed(g_weight), summed(g_bias) if biased else None, None


def stand_in(reference: Callable) -> Callable:
    """Function with the signature of transformers' `causal_conv1d_fn`; `reference` does what the kernel does not."""

    @functools.wraps(reference)
    def causal_conv1d_fn(
        hidden_states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        activation: str | None = None,
        **options: Any,
    ) -> torch.Tensor:
        packed = any(options.get(name) is not None for name in ("seq_idx", "cu_seqlens"))
        if packed or activation not in (None, "silu", "swish") or not _covered(hidden_states, weight, bias):
            return reference(hidden_states, weight, bias, activation, **options)
        return CausalConvolution.apply(hidden_states, weight, bias, activation is not None)

    return causal_conv1d_fn


def _covered(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> bool:
    """Whether the kernel does this call; see the module for what it leaves to transformers."""
    if torch.compiler.is_compiling() or x.dim() != 3 or weight.dim() != 2 or x.numel() == 0:
        return False
    channels = x.shape[1]
    return (
        x.dtype in (torch.float32, torch.float64)
        and weight.shape[0] == channels
        and (bias is None or bias.shape == (channels,))
        and all(y is None or (y.device.type == "cpu" and y.dtype == x.dtype) for y in (x, weight, bias))
    )
