"""Loops of RWKV-4's WKV (see wkv.py for the formulas and shapes).

The sums in numerator and denominator are carried as (num, den, p), which stand for num exp(p) and den exp(p), so that
no exponential overflows. p only chooses the scale: the gradients treat it as a constant. Vectors run along channels.
The backward pass recomputes the sums of one chunk of steps at a time, from those kept before each chunk.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from warmup.kernels.elementary import exp
from warmup.kernels.runtime import kernel
from warmup.kernels.simd import load, ones, read_tile, scratch, store, where_greater, width, write_tile, zeros

CHUNK = 32
"""Steps between kept sums."""


class Inputs(NamedTuple):
    """Flat views: decay (already -exp(time_decay)) and first [channels], key and value [batch, length, channels], kept
    [batch, registers, chunks, 3, lanes]."""

    decay: np.ndarray
    first: np.ndarray
    key: np.ndarray
    value: np.ndarray
    kept: np.ndarray


class Gradients(NamedTuple):
    """Flat arrays: `out` comes in, the rest is filled; decay, first [batch, channels], to be summed over the batch."""

    out: np.ndarray
    decay: np.ndarray
    first: np.ndarray
    key: np.ndarray
    value: np.ndarray


# Rows of the table of strides; its columns: batch, step, channel.
KEY, VALUE, OUT, G_KEY, G_VALUE = range(5)


@njit
def _read(source, jumps, batch, channel, begin, steps, present, tile):  # type: ignore[no-untyped-def]
    start = batch * jumps[0] + begin * jumps[1] + channel * jumps[2]
    read_tile(source, start, jumps[1], jumps[2], steps, present, tile)


@njit
def _write(tile, steps, present, target, jumps, batch, channel, begin):  # type: ignore[no-untyped-def]
    start = batch * jumps[0] + begin * jumps[1] + channel * jumps[2]
    write_tile(tile, steps, present, target, start, jumps[1], jumps[2])


@njit
def _row(source, channel, present, tile):  # type: ignore[no-untyped-def]
    read_tile(source, channel, 0, 1, 1, present, tile)
    return load(tile, 0)


@njit
def _weights(old, new):  # type: ignore[no-untyped-def]
    """exp(old - m), exp(new - m) and m = max(old, new): one of the two exponentials is 1."""
    difference = new - old
    newer = where_greater(difference, zeros(old), ones(old), zeros(old))
    smaller = exp(where_greater(difference, zeros(old), zeros(old) - difference, difference))
    keep = where_greater(newer, zeros(old), smaller, ones(old))
    take = where_greater(newer, zeros(old), ones(old), smaller)
    return keep, take, where_greater(newer, zeros(old), new, old)


@kernel
def forward(first, last, sizes, jumps, x, state, out, keep):  # type: ignore[no-untyped-def]
    """Units [first, last) of batch elements x registers of channels: fills `out` and, if `keep`, `x.kept`; `state` [3,
    batch, channels] (num, den, p) is brought from before the first step to after the last."""
    batches, length, channels = sizes
    lanes = width(x.key)
    registers = (channels + lanes - 1) // lanes
    chunks = (length + CHUNK - 1) // CHUNK
    tile_key, tile_value = scratch(CHUNK * lanes, x.key), scratch(CHUNK * lanes, x.key)
    tile_out = scratch(CHUNK * lanes, x.key)
    for unit in range(first, last):
        batch, register = unit // registers, unit % registers
        channel = register * lanes
        present = min(lanes, channels - channel)
        decay, bonus = _row(x.decay, channel, present, tile_out), _row(x.first, channel, present, tile_out)
        place, step_size = batch * channels + channel, batches * channels
        num, den = _row(state, place, present, tile_out), _row(state, place + step_size, present, tile_out)
        p = _row(state, place + 2 * step_size, present, tile_out)
        for chunk in range(chunks):
            begin = chunk * CHUNK
            steps = min(CHUNK, length - begin)
            if keep:
                kept = ((batch * registers + register) * chunks + chunk) * 3 * lanes
                store(x.kept, kept, num)
                store(x.kept, kept + lanes, den)
                store(x.kept, kept + 2 * lanes, p)
            _read(x.key, jumps[KEY], batch, channel, begin, steps, present, tile_key)
            _read(x.value, jumps[VALUE], batch, channel, begin, steps, present, tile_value)
            for index in range(0, steps * lanes, lanes):
                key, value = load(tile_key, index), load(tile_value, index)
                old, new, _ = _weights(p, key + bonus)
                store(tile_out, index, (old * num + new * value) / (old * den + new))
                old, new, p = _weights(p + decay, key)
                num, den = old * num + new * value, old * den + new
            _write(tile_out, steps, present, out, jumps[OUT], batch, channel, begin)
        for index, vector in enumerate((num, den, p)):
            store(tile_out, 0, vector)
            write_tile(tile_out, 1, present, state, place + index * step_size, 0, 1)


@kernel
def backward(first, last, sizes, jumps, x, g):  # type: ignore[no-untyped-def]
    """Units [first, last) of batch elements x registers of channels: fills the gradients `g`."""
    _, length, channels = sizes
    lanes = width(x.key)
    registers = (channels + lanes - 1) // lanes
    chunks = (length + CHUNK - 1) // CHUNK
    tile_key, tile_value = scratch(CHUNK * lanes, x.key), scratch(CHUNK * lanes, x.key)
    tile_out = scratch(CHUNK * lanes, x.key)
    # Of each step of a chunk: the sums before it, and the weights of the update.
    nums, dens, scales = scratch(CHUNK * lanes, x.key), scratch(CHUNK * lanes, x.key), scratch(CHUNK * lanes, x.key)
    olds, news = scratch(CHUNK * lanes, x.key), scratch(CHUNK * lanes, x.key)
    for unit in range(first, last):
        batch, register = unit // registers, unit % registers
        channel = register * lanes
        present = min(lanes, channels - channel)
        decay, bonus = _row(x.decay, channel, present, tile_out), _row(x.first, channel, present, tile_out)
        g_num, g_den = zeros(decay), zeros(decay)
        g_decay, g_bonus = zeros(decay), zeros(decay)
        for chunk in range(chunks - 1, -1, -1):
            begin = chunk * CHUNK
            steps = min(CHUNK, length - begin)
            kept = ((batch * registers + register) * chunks + chunk) * 3 * lanes
            num, den, p = load(x.kept, kept), load(x.kept, kept + lanes), load(x.kept, kept + 2 * lanes)
            _read(x.key, jumps[KEY], batch, channel, begin, steps, present, tile_key)
            _read(x.value, jumps[VALUE], batch, channel, begin, steps, present, tile_value)
            _read(g.out, jumps[OUT], batch, channel, begin, steps, present, tile_out)
            for index in range(0, steps * lanes, lanes):
                store(nums, index, num)
                store(dens, index, den)
                store(scales, index, p)
                key, value = load(tile_key, index), load(tile_value, index)
                old, new, p = _weights(p + decay, key)
                store(olds, index, old)
                store(news, index, new)
                num, den = old * num + new * value, old * den + new
            for index in range((steps - 1) * lanes, -1, -lanes):
                key, value = load(tile_key, index), load(tile_value, index)
                num, den = load(nums, index), load(dens, index)
                # The update of the sums.
                old, new = load(olds, index), load(news, index)
                g_decay = g_decay + old * (g_num * num + g_den * den)
                g_key = new * (g_num * value + g_den)
                g_value = new * g_num
                g_num, g_den = old * g_num, old * g_den
                # The output.
                old, new, _ = _weights(load(scales, index), key + bonus)
                divisor = old * den + new
                out = (old * num + new * value) / divisor
                g_out = load(tile_out, index) / divisor
                g_new = new * g_out * (value - out)
                g_bonus = g_bonus + g_new
                g_num, g_den = g_num + old * g_out, g_den - old * g_out * out
                store(tile_key, index, g_key + g_new)
                store(tile_value, index, g_value + new * g_out)
            _write(tile_key, steps, present, g.key, jumps[G_KEY], batch, channel, begin)
            _write(tile_value, steps, present, g.value, jumps[G_VALUE], batch, channel, begin)
        place = batch * channels + channel
        store(tile_out, 0, g_decay)
        write_tile(tile_out, 1, present, g.decay, place, 0, 1)
        store(tile_out, 0, g_bonus)
        write_tile(tile_out, 1, present, g.first, place, 0, 1)
