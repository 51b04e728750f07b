"""Quench curves: a plateau ends at once; how far is the river from its final law, and for how long."""

from collections.abc import Sequence

import numpy as np
import polars

from warmup.theory import evolution
from warmup.theory.landscapes import Array, Landscape
from warmup.theory.spectrum import Spectrum, amplitudes

STEPS_PER_DECADE = 80
"""Time steps per factor of ten: each is 3 % of the time passed, a relative error near 1e-5."""

DECADES = 6
"""The curves begin at 10^-DECADES of their end."""


def distances(landscape: Landscape, p: Array) -> dict[str, Array]:
    """Distances of distributions `p` [times, cells] from rest at the final rate, [times] each.

    `total_variation`: sum |p - pi_b| / 2. `divergence`: Kullback-Leibler, sum p ln(p / pi_b), nats. `excess_loss`: the
    mean of c over p less that over pi_b (the valley's own eta_b / 2 is the same for both).
    """
    y = landscape.centres(p.shape[1])
    log_final = landscape.log_stationary(landscape.final, y)
    final, positive = np.exp(log_final), np.maximum(p, 0)
    log_p = np.log(np.where(positive > 0, positive, 1))
    return {
        "total_variation": 0.5 * np.abs(p - final).sum(axis=1),
        "divergence": (positive * (log_p - np.where(positive > 0, log_final, 0))).sum(axis=1),
        "excess_loss": (p - final) @ landscape.potential(y),
    }


def curves(
    landscape: Landscape, spectrum: Spectrum, plateaus: Sequence[float], *, cells: int, until: float
) -> polars.DataFrame:
    """Distances after a quench at time 0 from rest at each of `plateaus`, up to `until` / lambda_2; one row per time.

    Columns: landscape, plateau (learning rate), ratio (plateau / final), time, slow_times (time x lambda_2),
    total_variation, divergence, excess_loss, slow_mode (a_2 exp(-lambda_2 t): the part that decays last).
    """
    end = until / spectrum.rates[0]
    times = np.concatenate([[0], np.geomspace(end * 10.0**-DECADES, end, STEPS_PER_DECADE * DECADES + 1)])
    y = landscape.centres(cells)
    slow = amplitudes(landscape, spectrum, np.array(plateaus))[0]
    path = evolution.quench(times, landscape.final)
    every = np.arange(len(path.steps)) % 4 == 0
    parts = []
    for plateau, amplitude in zip(plateaus, slow, strict=True):
        start = landscape.stationary(plateau, y)
        states = np.concatenate([start[None], evolution.evolve(landscape, start, path, every)])
        moments = np.concatenate([[0], times[1:][every]])
        parts.append(
            polars.DataFrame(
                {
                    "landscape": landscape.name,
                    "plateau": plateau,
                    "ratio": plateau / landscape.final,
                    "time": moments,
                    "slow_times": moments * spectrum.rates[0],
                    **distances(landscape, states),
                    "slow_mode": amplitude * np.exp(-spectrum.rates[0] * moments),
                }
            )
        )
    return polars.concat(parts)
