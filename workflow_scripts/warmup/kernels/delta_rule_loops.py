"""Loops of the delta rule with a decay of each channel (see delta_rule.py for the formulas and shapes).

Each value channel has a recurrence of its own, driven by the same keys, queries, decays and write strengths: vectors
run along value channels, and the state of a register of them is a column of `keys` registers. The forward pass keeps
the state before each chunk of steps; the backward pass recomputes the states of one chunk in cache and runs back
through it. Gradients that are sums over value channels are added up register by register, in their order.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from warmup.kernels.runtime import kernel
from warmup.kernels.simd import broadcast, load, read_tile, scratch, store, total, width, write_tile, zeros

CHUNK = 16
"""Steps between kept states: what the backward pass recomputes for a chunk of 128 keys (128 KB) stays in the
second-level cache."""


class Inputs(NamedTuple):
    """Flat views: query, key, decay [batch, length, heads, keys], value [batch, length, heads, values], strength
    [batch, length, heads], kept [batch, heads, registers, chunks, keys, lanes]."""

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    decay: np.ndarray
    strength: np.ndarray
    kept: np.ndarray


class Gradients(NamedTuple):
    """Flat arrays shaped as the inputs: `out`, as `value`, comes in, the rest is filled."""

    out: np.ndarray
    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    decay: np.ndarray
    strength: np.ndarray


@njit
def _step(x, place, strength, value, before, after, keys):  # type: ignore[no-untyped-def]
    """Writes the state after a step into `after` [keys, lanes], from that in `before`; may be the same array.

    `place`: where the step's keys and decays begin. Returns what the value had that the state did not know.
    """
    lanes = width(before)
    known = zeros(before)
    for i in range(keys):
        state = broadcast(x.decay, place + i) * load(before, i * lanes)
        store(after, i * lanes, state)
        known = known + broadcast(x.key, place + i) * state
    error = value - known
    written = broadcast(x.strength, strength) * error
    for i in range(keys):
        store(after, i * lanes, load(after, i * lanes) + broadcast(x.key, place + i) * written)
    return error


@kernel
def forward(first, last, sizes, x, out, keep):  # type: ignore[no-untyped-def]
    """Units [first, last) of batch elements x heads: fills `out` and, if `keep`, `x.kept`."""
    length, heads, keys, values = sizes
    lanes = width(x.key)
    registers, chunks = (values + lanes - 1) // lanes, (length + CHUNK - 1) // CHUNK
    state, tile = scratch(keys * lanes, x.key), scratch(lanes, x.key)
    for unit in range(first, last):
        batch, head = unit // heads, unit % heads
        for register in range(registers):
            channel = register * lanes
            present = min(lanes, values - channel)
            for i in range(0, keys * lanes, lanes):
                store(state, i, zeros(state))
            for step in range(length):
                if keep and step % CHUNK == 0:
                    kept = ((unit * registers + register) * chunks + step // CHUNK) * keys * lanes
                    for i in range(0, keys * lanes, lanes):
                        store(x.kept, kept + i, load(state, i))
                strength = (batch * length + step) * heads + head
                read_tile(x.value, strength * values + channel, 0, 1, 1, present, tile)
                _step(x, strength * keys, strength, load(tile, 0), state, state, keys)
                answer = zeros(state)
                for i in range(keys):
                    answer = answer + broadcast(x.query, strength * keys + i) * load(state, i * lanes)
                store(tile, 0, answer)
                write_tile(tile, 1, present, out, strength * values + channel, 0, 1)


@kernel
def backward(first, last, sizes, x, g):  # type: ignore[no-untyped-def]
    """Units [first, last) of batch elements x heads: fills the gradients `g`."""
    length, heads, keys, values = sizes
    lanes = width(x.key)
    registers, chunks = (values + lanes - 1) // lanes, (length + CHUNK - 1) // CHUNK
    size = keys * lanes
    # States before each step of a chunk and after its last, what each step did not know, the gradient of the state.
    states, errors, g_state = scratch((CHUNK + 1) * size, x.key), scratch(CHUNK * lanes, x.key), scratch(size, x.key)
    tile = scratch(lanes, x.key)
    for unit in range(first, last):
        batch, head = unit // heads, unit % heads
        for step in range(length):
            strength = (batch * length + step) * heads + head
            g.strength[strength] = 0
            for i in range(strength * keys, (strength + 1) * keys):
                g.query[i], g.key[i], g.decay[i] = 0, 0, 0
        for register in range(registers):
            channel = register * lanes
            present = min(lanes, values - channel)
            for i in range(0, size, lanes):
                store(g_state, i, zeros(g_state))
            for chunk in range(chunks - 1, -1, -1):
                begin = chunk * CHUNK
                steps = min(CHUNK, length - begin)
                kept = ((unit * registers + register) * chunks + chunk) * size
                for i in range(0, size, lanes):
                    store(states, i, load(x.kept, kept + i))
                for step in range(steps):
                    strength = (batch * length + begin + step) * heads + head
                    read_tile(x.value, strength * values + channel, 0, 1, 1, present, tile)
                    before, after = states[step * size :], states[(step + 1) * size :]
                    error = _step(x, strength * keys, strength, load(tile, 0), before, after, keys)
                    store(errors, step * lanes, error)
                for step in range(steps - 1, -1, -1):
                    strength = (batch * length + begin + step) * heads + head
                    place, before, after = strength * keys, step * size, (step + 1) * size
                    read_tile(g.out, strength * values + channel, 0, 1, 1, present, tile)
                    g_answer, error = load(tile, 0), load(errors, step * lanes)
                    written = broadcast(x.strength, strength) * error
                    # The answer, and what was written.
                    g_written = zeros(g_answer)
                    for i in range(keys):
                        gradient = load(g_state, i * lanes) + broadcast(x.query, place + i) * g_answer
                        store(g_state, i * lanes, gradient)
                        g_written = g_written + broadcast(x.key, place + i) * gradient
                        g.query[place + i] += total(load(states, after + i * lanes) * g_answer)
                    g.strength[strength] += total(g_written * error)
                    g_error = broadcast(x.strength, strength) * g_written
                    store(tile, 0, g_error)
                    write_tile(tile, 1, present, g.value, strength * values + channel, 0, 1)
                    # What was known, and the decay.
                    for i in range(keys):
                        gradient, old = load(g_state, i * lanes), load(states, before + i * lanes)
                        decay, key = broadcast(x.decay, place + i), broadcast(x.key, place + i)
                        g.key[place + i] += total(gradient * written - decay * old * g_error)
                        gradient = gradient - key * g_error
                        g.decay[place + i] += total(gradient * old)
                        store(g_state, i * lanes, decay * gradient)
