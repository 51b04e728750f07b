"""Loops of the selective scan (see selective_scan.py for the formulas and shapes).

Vectors run along channels, so the sums over states need no work across lanes. The forward pass keeps the state before
each chunk of CHUNK steps; the backward pass walks over the chunks from the last to the first, recomputes the states of
one chunk in cache, and runs back through it. Kept from forward to backward: the inputs and batch x channels x states x
length / CHUNK numbers. Sums over channels (B, C) and over the batch (A, D, delta_bias) have a fixed order.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from warmup.kernels.elementary import LOG2_E, exp2, sigmoid, softplus_and_slope
from warmup.kernels.runtime import kernel
from warmup.kernels.simd import broadcast, fill, load, ones, read_tile, scratch, store, total, width, write_tile, zeros

CHUNK = 32
"""Steps between kept states: what the backward pass recomputes for a chunk (128 KB) stays in the second-level cache."""

LN_2 = math.log(2)


class Inputs(NamedTuple):
    """Flat views of the inputs; z, D and delta_bias are zeros where absent. `kept`: states before each chunk [batch,
    registers, chunks, states, lanes]."""

    u: np.ndarray
    dt: np.ndarray
    z: np.ndarray
    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    D: np.ndarray
    bias: np.ndarray
    kept: np.ndarray


class Gradients(NamedTuple):
    """Flat arrays: `out` and `final` (last state) come in, the rest is filled. B, C: [groups, batch, length, states],
    to be summed over groups; A [batch, channels, states], D, bias [batch, channels], to be summed over the batch."""

    out: np.ndarray
    final: np.ndarray
    u: np.ndarray
    dt: np.ndarray
    z: np.ndarray
    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    D: np.ndarray
    bias: np.ndarray


# Slots of a record of the backward pass.
DECAY, BEFORE, SUM_B, SUM_C = range(4)

# Rows of the table of strides; its columns: batch, channel or state, step.
U, DT, Z, B, C, OUT, G_U, G_DT, G_Z = range(9)


@njit
def _read(source, jumps, batch, channel, begin, steps, present, tile):  # type: ignore[no-untyped-def]
    """A chunk of one register of channels into `tile` [steps, lanes]."""
    start = batch * jumps[0] + channel * jumps[1] + begin * jumps[2]
    read_tile(source, start, jumps[2], jumps[1], steps, present, tile)


@njit
def _write(tile, steps, present, target, jumps, batch, channel, begin):  # type: ignore[no-untyped-def]
    """The reverse of `_read`."""
    start = batch * jumps[0] + channel * jumps[1] + begin * jumps[2]
    write_tile(tile, steps, present, target, start, jumps[2], jumps[1])


@njit
def _read_rates(A, channel, states, present, rates, place, scratch):  # type: ignore[no-untyped-def]
    """A of one register of channels, times log2(e), into `rates` [states, lanes] at `place`."""
    lanes = width(A)
    read_tile(A, channel * states, 1, states, states, present, scratch)
    for index in range(0, states * lanes, lanes):
        store(rates, place + index, load(scratch, index) * fill(A.dtype.type(LOG2_E)))


@njit
def _row(source, channel, present, scratch):  # type: ignore[no-untyped-def]
    """Register of per-channel numbers."""
    read_tile(source, channel, 0, 1, 1, present, scratch)
    return load(scratch, 0)


@njit
def _discretise(steps, tile_u, tile_dt, shift, smooth, tile_delta, tile_drive):  # type: ignore[no-untyped-def]
    """delta and delta x u of a chunk; afterwards `tile_dt` holds the derivative of delta in dt."""
    lanes = width(tile_u)
    for place in range(0, steps * lanes, lanes):
        delta = load(tile_dt, place) + shift
        slope = ones(delta)
        if smooth:
            delta, slope = softplus_and_slope(delta)
        store(tile_dt, place, slope)
        store(tile_delta, place, delta)
        store(tile_drive, place, delta * load(tile_u, place))


@kernel
def forward(first, last, sizes, groups, jumps, x, out, final, smooth, gated, keep):  # type: ignore[no-untyped-def]
    """Units [first, last) of batch elements x groups of registers: fills `out`, `final` [batch, channels, states] (the
    last state) and, if `keep`, `x.kept`."""
    channels, length, states = sizes
    lanes = width(x.u)
    registers = (channels + lanes - 1) // lanes
    chunks = (length + CHUNK - 1) // CHUNK
    size = states * lanes
    longest = (registers + groups - 1) // groups
    tile_u, tile_dt, tile_z = scratch(CHUNK * lanes, x.u), scratch(CHUNK * lanes, x.u), scratch(CHUNK * lanes, x.u)
    tile_delta, tile_drive = scratch(CHUNK * lanes, x.u), scratch(CHUNK * lanes, x.u)
    tile_out = scratch(CHUNK * lanes, x.u)
    # For each register of the group: log2(e) A, and the state.
    rates, state, history = scratch(longest * size, x.u), scratch(longest * size, x.u), scratch(size, x.u)
    # Bound here, as each access to a field inside a loop would count a reference.
    x_B, x_C = x.B, x.C
    b_step, b_state, c_step, c_state = jumps[B, 2], jumps[B, 1], jumps[C, 2], jumps[C, 1]
    for unit in range(first, last):
        batch, group = unit // groups, unit % groups
        start, stop = registers * group // groups, registers * (group + 1) // groups
        for register in range(start, stop):
            channel, own = register * lanes, (register - start) * size
            _read_rates(x.A, channel, states, min(lanes, channels - channel), rates, own, history)
            for index in range(own, own + size, lanes):
                store(state, index, zeros(state))
        for chunk in range(chunks):
            begin = chunk * CHUNK
            steps = min(CHUNK, length - begin)
            for register in range(start, stop):
                channel, own = register * lanes, (register - start) * size
                present = min(lanes, channels - channel)
                if keep:
                    place = ((batch * registers + register) * chunks + chunk) * size
                    for index in range(0, size, lanes):
                        store(x.kept, place + index, load(state, own + index))
                skip = _row(x.D, channel, present, tile_out)
                shift = _row(x.bias, channel, present, tile_out)
                _read(x.u, jumps[U], batch, channel, begin, steps, present, tile_u)
                _read(x.dt, jumps[DT], batch, channel, begin, steps, present, tile_dt)
                if gated:
                    _read(x.z, jumps[Z], batch, channel, begin, steps, present, tile_z)
                _discretise(steps, tile_u, tile_dt, shift, smooth, tile_delta, tile_drive)
                for step in range(steps):
                    b_place = batch * jumps[B, 0] + (begin + step) * b_step
                    c_place = batch * jumps[C, 0] + (begin + step) * c_step
                    delta, drive = load(tile_delta, step * lanes), load(tile_drive, step * lanes)
                    value = skip * load(tile_u, step * lanes)
                    for n in range(states):
                        place = own + n * lanes
                        h = exp2(delta * load(rates, place)) * load(state, place)
                        h = h + drive * broadcast(x_B, b_place + n * b_state)
                        store(state, place, h)
                        value = value + h * broadcast(x_C, c_place + n * c_state)
                    if gated:
                        gate = load(tile_z, step * lanes)
                        value = value * (gate * sigmoid(gate))
                    store(tile_out, step * lanes, value)
                _write(tile_out, steps, present, out, jumps[OUT], batch, channel, begin)
        for register in range(start, stop):
            channel, own = register * lanes, (register - start) * size
            present = min(lanes, channels - channel)
            for index in range(0, size, lanes):
                store(history, index, load(state, own + index))
            write_tile(history, states, present, final, (batch * channels + channel) * states, 1, states)


@kernel
def backward(first, last, sizes, groups, jumps, x, g, smooth, gated):  # type: ignore[no-untyped-def]
    """Units [first, last) of batch elements x groups of registers: fills the gradients `g`."""
    channels, length, states = sizes
    # Bound here, as each access to a field inside a loop would count a reference.
    x_B, x_C = x.B, x.C
    lanes = width(x.u)
    registers = (channels + lanes - 1) // lanes
    chunks = (length + CHUNK - 1) // CHUNK
    size = states * lanes
    batches = g.D.size // channels
    longest = (registers + groups - 1) // groups
    tile_u, tile_dt, tile_z = scratch(CHUNK * lanes, x.u), scratch(CHUNK * lanes, x.u), scratch(CHUNK * lanes, x.u)
    tile_delta, tile_drive = scratch(CHUNK * lanes, x.u), scratch(CHUNK * lanes, x.u)
    tile_g = scratch(CHUNK * lanes, x.u)
    # Of each step and state of a chunk, side by side: decay, state before the step, sums for B and C.
    records, spare = scratch((CHUNK + 1) * states * 4 * lanes, x.u), scratch(size, x.u)
    # Carried from chunk to chunk for each register of the group: log2(e) A, and the gradients of states and A.
    rates, g_state, sum_A = scratch(longest * size, x.u), scratch(longest * size, x.u), scratch(longest * size, x.u)
    sum_D, sum_bias = scratch(longest * lanes, x.u), scratch(longest * lanes, x.u)
    b_step, b_state, c_step, c_state = jumps[B, 2], jumps[B, 1], jumps[C, 2], jumps[C, 1]
    ln_2 = fill(x.u.dtype.type(LN_2))
    for unit in range(first, last):
        batch, group = unit // groups, unit % groups
        start, stop = registers * group // groups, registers * (group + 1) // groups
        for register in range(start, stop):
            channel, own = register * lanes, (register - start) * size
            present = min(lanes, channels - channel)
            _read_rates(x.A, channel, states, present, rates, own, spare)
            read_tile(g.final, (batch * channels + channel) * states, 1, states, states, present, spare)
            for index in range(0, size, lanes):
                store(g_state, own + index, load(spare, index))
                store(sum_A, own + index, zeros(sum_A))
            store(sum_D, (register - start) * lanes, zeros(sum_D))
            store(sum_bias, (register - start) * lanes, zeros(sum_D))
        for chunk in range(chunks - 1, -1, -1):
            begin = chunk * CHUNK
            steps = min(CHUNK, length - begin)
            for index in range(0, steps * states * 4 * lanes, 4 * lanes):
                store(records, index + SUM_B * lanes, zeros(records))
                store(records, index + SUM_C * lanes, zeros(records))
            for register in range(start, stop):
                channel, own, own_row = register * lanes, (register - start) * size, (register - start) * lanes
                present = min(lanes, channels - channel)
                _read(x.u, jumps[U], batch, channel, begin, steps, present, tile_u)
                _read(x.dt, jumps[DT], batch, channel, begin, steps, present, tile_dt)
                _read(g.out, jumps[OUT], batch, channel, begin, steps, present, tile_g)
                if gated:
                    _read(x.z, jumps[Z], batch, channel, begin, steps, present, tile_z)
                skip = _row(x.D, channel, present, spare)
                shift = _row(x.bias, channel, present, spare)
                _discretise(steps, tile_u, tile_dt, shift, smooth, tile_delta, tile_drive)
                place = ((batch * registers + register) * chunks + chunk) * size
                for n in range(states):
                    store(records, (4 * n + BEFORE) * lanes, load(x.kept, place + n * lanes))

                # Forward through the chunk: states, decays, and the gate's gradient, which needs the ungated output.
                g_skip = load(sum_D, own_row)
                for step in range(steps):
                    b_place = batch * jumps[B, 0] + (begin + step) * b_step
                    c_place = batch * jumps[C, 0] + (begin + step) * c_step
                    delta, drive = load(tile_delta, step * lanes), load(tile_drive, step * lanes)
                    u = load(tile_u, step * lanes)
                    value = skip * u
                    for n in range(states):
                        place = (step * states + n) * 4 * lanes
                        decay = exp2(delta * load(rates, own + n * lanes))
                        h = decay * load(records, place + BEFORE * lanes)
                        h = h + drive * broadcast(x_B, b_place + n * b_state)
                        store(records, place + DECAY * lanes, decay)
                        store(records, place + (4 * states + BEFORE) * lanes, h)
                        value = value + h * broadcast(x_C, c_place + n * c_state)
                    g_value = load(tile_g, step * lanes)
                    if gated:
                        gate = load(tile_z, step * lanes)
                        share = sigmoid(gate)
                        store(
                            tile_z, step * lanes, g_value * value * share * (ones(gate) + gate * (ones(gate) - share))
                        )
                        g_value = g_value * (gate * share)
                        store(tile_g, step * lanes, g_value)
                    g_skip = g_skip + g_value * u
                store(sum_D, own_row, g_skip)

                # Back through the chunk.
                g_shift = load(sum_bias, own_row)
                for step in range(steps - 1, -1, -1):
                    b_place = batch * jumps[B, 0] + (begin + step) * b_step
                    c_place = batch * jumps[C, 0] + (begin + step) * c_step
                    delta, drive = load(tile_delta, step * lanes), load(tile_drive, step * lanes)
                    g_value = load(tile_g, step * lanes)
                    g_drive, g_rate = zeros(delta), zeros(delta)
                    for n in range(states):
                        place = (step * states + n) * 4 * lanes
                        g_h = load(g_state, own + n * lanes) + g_value * broadcast(x_C, c_place + n * c_state)
                        h = load(records, place + (4 * states + BEFORE) * lanes)
                        store(records, place + SUM_C * lanes, load(records, place + SUM_C * lanes) + g_value * h)
                        store(records, place + SUM_B * lanes, load(records, place + SUM_B * lanes) + g_h * drive)
                        g_drive = g_drive + g_h * broadcast(x_B, b_place + n * b_state)
                        g_h = g_h * load(records, place + DECAY * lanes)
                        store(g_state, own + n * lanes, g_h)
                        g_exponent = g_h * load(records, place + BEFORE * lanes)
                        g_rate = g_rate + g_exponent * load(rates, own + n * lanes)
                        store(sum_A, own + n * lanes, load(sum_A, own + n * lanes) + g_exponent * delta)
                    u = load(tile_u, step * lanes)
                    store(tile_u, step * lanes, g_value * skip + g_drive * delta)
                    g_delta = (g_rate * ln_2 + g_drive * u) * load(tile_dt, step * lanes)
                    store(tile_dt, step * lanes, g_delta)
                    g_shift = g_shift + g_delta
                store(sum_bias, own_row, g_shift)
                _write(tile_u, steps, present, g.u, jumps[G_U], batch, channel, begin)
                _write(tile_dt, steps, present, g.dt, jumps[G_DT], batch, channel, begin)
                if gated:
                    _write(tile_z, steps, present, g.z, jumps[G_Z], batch, channel, begin)
            place = ((group * batches + batch) * length + begin) * states
            for index in range(steps * states):
                g.B[place + index] = total(load(records, (4 * index + SUM_B) * lanes))
                g.C[place + index] = total(load(records, (4 * index + SUM_C) * lanes))
        for register in range(start, stop):
            channel, own = register * lanes, (register - start) * size
            present = min(lanes, channels - channel)
            for index in range(0, size, lanes):
                store(spare, index, load(sum_A, own + index))
            write_tile(spare, states, present, g.A, (batch * channels + channel) * states, 1, states)
            for lane in range(present):
                g.D[batch * channels + channel + lane] = sum_D[(register - start) * lanes + lane]
                g.bias[batch * channels + channel + lane] = sum_bias[(register - start) * lanes + lane]
