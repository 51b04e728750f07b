"""Finite decays: how long may the decay from a plateau take, and in which shape, and keep its advantage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars

from warmup.schedules.wsd import TAILS
from warmup.theory import evolution
from warmup.theory.landscapes import Array, Landscape
from warmup.theory.quench import distances
from warmup.theory.spectrum import Spectrum, amplitudes, slow_modes

STEPS = 100
"""Time steps of a decay, and of the hold after it; twice as many change a final distance by under 1 %."""

SHORTEST = 1e-2
"""The search for the slowest decay begins at SHORTEST / lambda_3: for every river mode a quench."""

LONGEST = 30.0
"""... and ends at LONGEST / lambda_2, where the slowest mode has forgotten the plateau (e^-30)."""


@dataclass(frozen=True)
class Slowest:
    """The longest decay of a shape that keeps `share` of the advantage; `length` None: see `note`."""

    tail: str
    length: float | None
    advantage_of_a_quench: float | None
    note: str


def rate(landscape: Landscape, tail: str, plateau: float) -> Callable[[Array], Array]:
    """Learning rate of a decay by share of time passed: `tail` of schedule wsd from `plateau` to the final rate."""
    return lambda share: TAILS[tail](share, plateau, landscape.final)


def after_decay(landscape: Landscape, plateau: float, tail: str, length: float, cells: int) -> Array:
    """Distribution of the river [cells] when the decay from rest at `plateau` ends."""
    start = landscape.stationary(plateau, landscape.centres(cells))
    return evolution.evolve(landscape, start, evolution.follow(rate(landscape, tail, plateau), length, STEPS))[0]


def final_distance_map(
    landscape: Landscape,
    spectrum: Spectrum,
    *,
    plateaus: Sequence[float],
    tail: str,
    horizon: float,
    lengths: int,
    cells: int,
) -> polars.DataFrame:
    """Distances at the same time after the plateau's end, `horizon` / lambda_2, of which the decay takes a part.

    One row per plateau and decay length (log-spaced from 1/300 of the horizon to all of it): landscape, tail, plateau,
    ratio, decay (time), slow_times (decay x lambda_2), share (of the horizon), and the distances of `quench.distances`.
    """
    end = horizon / spectrum.rates[0]
    y = landscape.centres(cells)
    rows, states = [], []
    for plateau in plateaus:
        start = landscape.stationary(plateau, y)
        for share in np.geomspace(1 / 300, 1, lengths):
            path = evolution.follow(rate(landscape, tail, plateau), share * end, STEPS)
            if share < 1:
                # Steps that begin short: right after the decay the fast modes still move.
                hold = np.concatenate([[0], np.geomspace((1 - share) * end * 1e-4, (1 - share) * end, STEPS)])
                path = evolution.joined(path, evolution.quench(hold, landscape.final))
            states.append(evolution.evolve(landscape, start, path)[0])
            rows.append((plateau, plateau / landscape.final, share * end, share * horizon, share))
    frame = polars.DataFrame(rows, schema=["plateau", "ratio", "decay", "slow_times", "share"], orient="row")
    return frame.select(
        polars.lit(landscape.name).alias("landscape"), polars.lit(tail).alias("tail"), polars.all()
    ).with_columns(**{name: polars.Series(values) for name, values in distances(landscape, np.array(states)).items()})


def slowest_decays(
    landscape: Landscape,
    spectrum: Spectrum,
    *,
    best: float | None,
    reference: float | None,
    tails: Sequence[str],
    share: float,
    lengths: int,
    cells: int,
) -> tuple[list[Slowest], polars.DataFrame]:
    """The longest decay of each shape that keeps `share` of the advantage of plateau `best` over plateau `reference`.

    The advantage of a decay of length D is 1 - |a_2(best, D)| / |a_2(reference, D)|, a_2 being the amplitude left in
    the slowest mode when the decay ends (D -> 0: a quench): the share of the slowest mode that the hotter plateau
    spares. Found by log-linear interpolation on `lengths` decays; also returns the curves (landscape, tail, decay,
    slow_times, advantage, kept).
    """
    if best is None or reference is None:
        note = "no plateau above the final rate excites the slowest mode less than a cooler one: no advantage to keep"
        return [Slowest(tail, None, None, note) for tail in tails], _no_curves()
    second, third = spectrum.rates[:2]
    grid = np.geomspace(SHORTEST / third, LONGEST / second, lengths)
    # The slow mode on the very grid of the evolution, so that a_2 of pi_b is zero to rounding.
    mode = slow_modes(landscape, cells, 1)
    at_once = _advantage(*(abs(float(amplitudes(landscape, mode, np.array([eta]))[0, 0])) for eta in (best, reference)))
    found, parts = [], []
    for tail in tails:
        left = [
            [abs(float(after_decay(landscape, eta, tail, length, cells) @ mode.functions[0])) for length in grid]
            for eta in (best, reference)
        ]
        kept = np.array([_advantage(*pair) for pair in zip(*left, strict=True)]) / at_once
        found.append(_crossing(tail, grid, kept, share, at_once))
        parts.append(
            polars.DataFrame(
                {
                    "landscape": landscape.name,
                    "tail": tail,
                    "decay": grid,
                    "slow_times": grid * second,
                    "advantage": kept * at_once,
                    "kept": kept,
                }
            )
        )
    return found, polars.concat(parts)


def _advantage(best: float, reference: float) -> float:
    return 1 - best / reference


def _crossing(tail: str, grid: Array, kept: Array, share: float, at_once: float) -> Slowest:
    below = np.nonzero(kept < share)[0]
    if len(below) == 0:
        return Slowest(tail, None, at_once, f"kept at every length tried, up to {grid[-1]:.3g}")
    first = below[0]
    if first == 0:
        return Slowest(tail, None, at_once, f"lost at every length tried, from {grid[0]:.3g}")
    part = (kept[first - 1] - share) / (kept[first - 1] - kept[first])
    length = float(np.exp(np.log(grid[first - 1]) + part * (np.log(grid[first]) - np.log(grid[first - 1]))))
    return Slowest(tail, length, at_once, "")


def _no_curves() -> polars.DataFrame:
    text, number = polars.String, polars.Float64
    columns = {"landscape": text, "tail": text} | dict.fromkeys(("decay", "slow_times", "advantage", "kept"), number)
    return polars.DataFrame(schema=columns)
