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

BLOCK = 4
"""Registers of channels in a unit of work."""


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
    """Units [first, last) of batch elements x blocks of registers: fills `out` and, if `keep`, `x.kept`; `state` [3,
    batch, channels] (num, den, p) is brought from before the first step to after the last."""
    batches, length, channels = sizes
    lanes = width(x.key)
    registers = (channels + lanes - 1) // lanes
    blocks = (registers + BLOCK - 1) // BLOCK
    chunks = (length + CHUNK - 1) // CHUNK
    plane, size = batches * channels, CHUNK * lanes
    keys, values, outs = scratch(BLOCK * size, x.key), scratch(BLOCK * size, x.key), scratch(BLOCK * size, x.key)
    # Of each register: num, den, p, decay, bonus.
    own = scratch(BLOCK * 5 * lanes, x.key)
    for unit in range(first, last):
        batch, start = unit // blocks, unit % blocks * BLOCK
        count = min(BLOCK, registers - start)
        for r in range(count):
            channel, place = (start + r) * lanes, r * 5 * lanes
            present = min(lanes, channels - channel)
            for part in range(3):
                store(own, place + part * lanes, _row(state, part * plane + batch * channels + channel, present, outs))
            store(own, place + 3 * lanes, _row(x.decay, channel, present, outs))
            store(own, place + 4 * lanes, _row(x.first, channel, present, outs))
        for chunk in range(chunks):
            begin = chunk * CHUNK
            steps = min(CHUNK, length - begin)
            for r in range(count):
                channel = (start + r) * lanes
                present = min(lanes, channels - channel)
                if keep:
                    kept = ((batch * registers + start + r) * chunks + chunk) * 3 * lanes
                    for part in range(0, 3 * lanes, lanes):
                        store(x.kept, kept + part, load(own, r * 5 * lanes + part))
                _read(x.key, jumps[KEY], batch, channel, begin, steps, present, keys[r * size :])
                _read(x.value, jumps[VALUE], batch, channel, begin, steps, present, values[r * size :])
            for step in range(steps):
                # Registers innermost: their chains of dependent operations overlap.
                for r in range(count):
                    index, place = r * size + step * lanes, r * 5 * lanes
                    num, den, p = load(own, place), load(own, place + lanes), load(own, place + 2 * lanes)
                    key, value = load(keys, index), load(values, index)
                    old, new, _ = _weights(p, key + load(own, place + 4 * lanes))
                    store(outs, index, (old * num + new * value) / (old * den + new))
                    old, new, p = _weights(p + load(own, place + 3 * lanes), key)
                    store(own, place, old * num + new * value)
                    store(own, place + lanes, old * den + new)
                    store(own, place + 2 * lanes, p)
            for r in range(count):
                channel = (start + r) * lanes
                present = min(lanes, channels - channel)
                _write(outs[r * size :], steps, present, out, jumps[OUT], batch, channel, begin)
        for r in range(count):
            channel = (start + r) * lanes
            present = min(lanes, channels - channel)
            for part in range(3):
                place = part * plane + batch * channels + channel
                write_tile(own[(r * 5 + part) * lanes :], 1, present, state, place, 0, 1)


@kernel
def backward(first, last, sizes, jumps, x, g):  # type: ignore[no-untyped-def]
    """Units [first, last) of batch elements x blocks of registers: fills the gradients `g`."""
    _, length, channels = sizes
    lanes = width(x.key)
    registers = (channels + lanes - 1) // lanes
    blocks = (registers + BLOCK - 1) // BLOCK
    chunks = (length + CHUNK - 1) // CHUNK
    size = CHUNK * lanes
    keys, values, outs = scratch(BLOCK * size, x.key), scratch(BLOCK * size, x.key), scratch(BLOCK * size, x.key)
    # Of each step of a chunk: num, den and p before it, and the weights of the update.
    records = scratch(BLOCK * CHUNK * 5 * lanes, x.key)
    # Of each register: decay, bonus, and the gradients of num, den, decay, bonus.
    own = scratch(BLOCK * 6 * lanes, x.key)
    for unit in range(first, last):
        batch, start = unit // blocks, unit % blocks * BLOCK
        count = min(BLOCK, registers - start)
        for r in range(count):
            channel, place = (start + r) * lanes, r * 6 * lanes
            present = min(lanes, channels - channel)
            store(own, place, _row(x.decay, channel, present, outs))
            store(own, place + lanes, _row(x.first, channel, present, outs))
            for part in range(2 * lanes, 6 * lanes, lanes):
                store(own, place + part, zeros(own))
        for chunk in range(chunks - 1, -1, -1):
            begin = chunk * CHUNK
            steps = min(CHUNK, length - begin)
            for r in range(count):
                channel = (start + r) * lanes
                present = min(lanes, channels - channel)
                _read(x.key, jumps[KEY], batch, channel, begin, steps, present, keys[r * size :])
                _read(x.value, jumps[VALUE], batch, channel, begin, steps, present, values[r * size :])
                _read(g.out, jumps[OUT], batch, channel, begin, steps, present, outs[r * size :])
                kept = ((batch * registers + start + r) * chunks + chunk) * 3 * lanes
                num, den, p = load(x.kept, kept), load(x.kept, kept + lanes), load(x.kept, kept + 2 * lanes)
                decay = load(own, r * 6 * lanes)
                for step in range(steps):
                    index, record = r * size + step * lanes, (r * CHUNK + step) * 5 * lanes
                    store(records, record, num)
                    store(records, record + lanes, den)
                    store(records, record + 2 * lanes, p)
                    key, value = load(keys, index), load(values, index)
                    old, new, p = _weights(p + decay, key)
                    store(records, record + 3 * lanes, old)
                    store(records, record + 4 * lanes, new)
                    num, den = old * num + new * value, old * den + new
            for step in range(steps - 1, -1, -1):
                for r in range(count):
                    index, record, place = r * size + step * lanes, (r * CHUNK + step) * 5 * lanes, r * 6 * lanes
                    key, value = load(keys, index), load(values, index)
                    num, den = load(records, record), load(records, record + lanes)
                    g_num, g_den = load(own, place + 2 * lanes), load(own, place + 3 * lanes)
                    # The update of the sums.
                    old, new = load(records, record + 3 * lanes), load(records, record + 4 * lanes)
                    store(own, place + 4 * lanes, load(own, place + 4 * lanes) + old * (g_num * num + g_den * den))
                    g_key = new * (g_num * value + g_den)
                    g_value = new * g_num
                    g_num, g_den = old * g_num, old * g_den
                    # The output.
                    old, new, _ = _weights(load(records, record + 2 * lanes), key + load(own, place + lanes))
                    inverse = ones(old) / (old * den + new)
                    out = (old * num + new * value) * inverse
                    g_out = load(outs, index) * inverse
                    g_new = new * g_out * (value - out)
                    store(own, place + 5 * lanes, load(own, place + 5 * lanes) + g_new)
                    store(own, place + 2 * lanes, g_num + old * g_out)
                    store(own, place + 3 * lanes, g_den - old * g_out * out)
                    store(keys, index, g_key + g_new)
                    store(values, index, g_value + new * g_out)
            for r in range(count):
                channel = (start + r) * lanes
                present = min(lanes, channels - channel)
                _write(keys[r * size :], steps, present, g.key, jumps[G_KEY], batch, channel, begin)
                _write(values[r * size :], steps, present, g.value, jumps[G_VALUE], batch, channel, begin)
        for r in range(count):
            channel = (start + r) * lanes
            present = min(lanes, channels - channel)
            write_tile(own[(r * 6 + 4) * lanes :], 1, present, g.decay, batch * channels + channel, 0, 1)
            write_tile(own[(r * 6 + 5) * lanes :], 1, present, g.first, batch * channels + channel, 0, 1)
