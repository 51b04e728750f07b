"""Walkers in the full landscape V(x, y), and whether they do what the reduced model says.

    dx = -k a(y) x ds + sqrt(2 eta) dW,    dy = -(c'(y) + k a'(y) x^2 / 2) ds + sqrt(2 eta) dW'

with the valley made k times as sharp. A constant factor in a(y) leaves the river's free energy unchanged up to a
constant, so the reduced model is the same for every k, and k alone decides how far the time scales are apart: the
reduced model is right as k grows, and stops being right as the valley becomes as slow as the river.

Per step the valley moves by its exact Ornstein-Uhlenbeck law at fixed y (no limit on k from stability), then the river
by Leimkuhler & Matthews' scheme (2013: Euler-Maruyama whose noise is the mean of this step's and the last step's; the
law at rest is right to second order in the step); walls reflect. c', a and (ln a)' come from a table, interpolated.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import polars
import scipy.stats
from numpy.typing import NDArray

from warmup.theory import evolution
from warmup.theory.landscapes import Array, Landscape
from warmup.theory.spectrum import slow_modes

TABLE = 4096
"""Entries of the table of forces; linear interpolation errs by under 1e-5 of the force on the shipped landscapes."""

DIFFERENCE = 1e-5
"""Step of the central differences that give c' and (ln a)', in units of the domain's width."""

BULK = 1e-3
"""The slowest valley rate is taken over the cells that hold all but this share of the hottest plateau's walkers."""


def compare(
    landscape: Landscape,
    *,
    plateaus: Sequence[float],
    separations: Sequence[float],
    until: float,
    moments: int,
    walkers: int,
    time_step: float,
    confidence: float,
    cells: int,
    seed: int,
) -> polars.DataFrame:
    """Simulated and reduced expectations after a quench from rest at `plateaus`, one row per moment and quantity.

    `separations` are slowest valley rates over lambda_2, one simulation each (the first alone where a(y) is constant:
    there the river does not feel the valley, and all separations are one simulation); `moments` times, evenly spaced
    up to `until` / lambda_2. Quantities: slow_mode (mean of u_2), loss (mean of c), above (share of walkers above the
    slow mode's node, where u_2 > 0). `half_width` is that of intervals that hold jointly, with probability
    `confidence`, for all rows of one separation (Bonferroni); `agrees`: the reduced value lies within.
    """
    mode = slow_modes(landscape, cells, 1)
    if np.ptp(landscape.log_sharpness(mode.y)) == 0:
        separations = separations[:1]
    second = float(mode.rates[0])
    y = mode.y
    node = float(np.interp(0, mode.functions[0], y))
    quantities = {"slow_mode": mode.functions[0], "loss": landscape.potential(y), "above": _beyond(node, y)}
    times = np.linspace(0, until / second, moments + 1)
    steps = np.maximum(1, np.round(np.diff(times) / time_step)).astype(int)
    streams = np.random.SeedSequence([seed, *landscape.name.encode()]).spawn(len(separations) * len(plateaus))
    level = (1 - confidence) / (2 * len(plateaus) * moments * len(quantities))
    width = float(scipy.stats.norm.isf(level))
    slowest = _slowest_valley(landscape, max(plateaus), y)
    parts = []
    for position, (plateau, separation) in enumerate((p, s) for p in plateaus for s in separations):
        reduced = _reduced(landscape, plateau, times, y)
        sharpness = separation * second / slowest
        random = np.random.Generator(np.random.SFC64(streams[position]))
        walk = _walk(landscape, plateau, sharpness, walkers, times, steps, random)
        for index, river in enumerate(walk):
            for name, values in quantities.items():
                sample = river > node if name == "above" else np.interp(river, y, values)
                mean, error = float(np.mean(sample)), float(np.std(sample, ddof=1)) / np.sqrt(walkers)
                expected = float(reduced[index] @ values)
                parts.append(
                    {
                        "landscape": landscape.name,
                        "separation": float(separation),
                        "plateau": float(plateau),
                        "ratio": plateau / landscape.final,
                        "time": float(times[index + 1]),
                        "slow_times": float(times[index + 1] * second),
                        "quantity": name,
                        "simulated": mean,
                        "half_width": float(width * error),
                        "reduced": expected,
                        "agrees": bool(abs(mean - expected) <= width * error),
                        "walkers": walkers,
                    }
                )
    return polars.DataFrame(parts)


def _beyond(node: float, y: Array) -> Array:
    """Share of each cell around `y` that lies above `node`."""
    width = y[1] - y[0]
    return np.clip((y + width / 2 - node) / width, 0, 1)


def _reduced(landscape: Landscape, plateau: float, times: Array, y: Array) -> Array:
    """Distributions of the master equation at times[1:], [moments, cells]; 64 short steps before each moment."""
    fine = np.concatenate([times[:1], *(np.linspace(a, b, 65)[1:] for a, b in itertools.pairwise(times))])
    early = np.geomspace(times[1] * 1e-5, times[1], 257)
    fine = np.concatenate([[0], early, fine[fine > times[1]]])
    keep = np.isin(fine[1:], times[1:])
    return evolution.evolve(landscape, landscape.stationary(plateau, y), evolution.quench(fine, landscape.final), keep)


def _walk(
    landscape: Landscape,
    plateau: float,
    sharpness: float,
    walkers: int,
    times: Array,
    steps: NDArray[np.int_],
    random: np.random.Generator,
) -> list[Array]:
    """Positions y of `walkers` at times[1:], started at rest at `plateau` in the full landscape."""
    low, high, eta = landscape.low, landscape.high, landscape.final
    table = np.linspace(low, high, TABLE + 1)
    force, log_a, log_a_slope = _tables(landscape, table)
    a = sharpness * np.exp(log_a)
    scale = TABLE / (high - low)
    y = _draw(landscape, plateau, walkers, random)
    x = random.standard_normal(walkers) * np.sqrt(plateau / (sharpness * np.exp(landscape.log_sharpness(y))))
    last = random.standard_normal(walkers)
    found = []
    for length, count in zip(np.diff(times), steps, strict=True):
        # One step of the clock, in the stochastic equation's own time.
        step = landscape.speed(eta) * length / count
        shrink, spread = np.exp(-a * step), np.sqrt(-np.expm1(-2 * a * step) * eta / a)
        kick = np.sqrt(2 * eta * step)
        for _ in range(count):
            place = (y - low) * scale
            cell = np.minimum(place.astype(np.int64), TABLE - 1)
            part = place - cell
            noise = random.standard_normal((2, walkers))
            x = _between(shrink, cell, part) * x + _between(spread, cell, part) * noise[0]
            pull = (
                _between(force, cell, part) - 0.5 * _between(log_a_slope, cell, part) * _between(a, cell, part) * x * x
            )
            y = y + step * pull + kick * 0.5 * (last + noise[1])
            last = noise[1]
            y = low + np.abs(y - low)
            y = high - np.abs(high - y)
        found.append(y.copy())
    return found


def _between(table: Array, cell: NDArray[np.int64], part: Array) -> Array:
    left = table[cell]
    return left + part * (table[cell + 1] - left)


def _tables(landscape: Landscape, y: Array) -> tuple[Array, Array, Array]:
    """-c', ln a and (ln a)' at `y`."""
    h = DIFFERENCE * (landscape.high - landscape.low)
    force = -(landscape.potential(y + h) - landscape.potential(y - h)) / (2 * h)
    slope = (landscape.log_sharpness(y + h) - landscape.log_sharpness(y - h)) / (2 * h)
    return force, landscape.log_sharpness(y), slope


def _draw(landscape: Landscape, eta: float, count: int, random: np.random.Generator) -> Array:
    """`count` positions at rest at `eta`, ascending: the inverse of the cumulative law (uniform within a fine cell).

    Stratified, one draw in each `count`-th of the law, so the start adds next to no error of its own; intervals that
    take the walkers for independent are then too wide, if anything.
    """
    edges = np.linspace(landscape.low, landscape.high, TABLE + 1)
    law = landscape.stationary(eta, landscape.centres(TABLE))
    shares = (np.arange(count) + random.random(count)) / count
    return np.interp(shares, np.concatenate([[0], np.cumsum(law)]), edges)


def _slowest_valley(landscape: Landscape, hottest: float, y: Array) -> float:
    """Smallest a(y) where walkers are: over the cells left after the rarest, BULK in all, are set aside."""
    law = landscape.stationary(hottest, y)
    order = np.argsort(law)
    common = order[np.cumsum(law[order]) > BULK]
    return float(np.exp(landscape.log_sharpness(y[common]).min()))
