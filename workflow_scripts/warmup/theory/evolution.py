"""The distribution of y in time: dp/dt = L*_eta(t) p, at a fixed or a changing learning rate.

Alexander's two-stage diagonally implicit Runge-Kutta method (1977; second order, L-stable: the fast modes of a fine
grid decay instead of ringing), two tridiagonal solves a step; probability is kept to rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from warmup.theory.landscapes import Array, Landscape

GAMMA = 1 - 1 / np.sqrt(2)
"""Alexander's gamma; the stages are at t + gamma dt and t + dt."""


@dataclass(frozen=True)
class Path:
    """A course of the learning rate: time steps `steps` [n] and the rate at both stages of each, `etas` [n, 2]."""

    steps: Array
    etas: Array


def quench(times: Array, final: float) -> Path:
    """The rate falls to `final` at once; a step between each two of `times` (ascending, from 0)."""
    steps = np.diff(times)
    return Path(steps, np.full((len(steps), 2), final))


def follow(rate: Callable[[Array], Array], length: float, steps: int) -> Path:
    """The rate `rate(share of time passed)` over `length`, in equal steps."""
    starts = np.arange(steps) / steps
    stages = np.stack([starts + GAMMA / steps, starts + 1 / steps], axis=1)
    return Path(np.full(steps, length / steps), rate(np.minimum(stages, 1.0)))


def joined(first: Path, second: Path) -> Path:
    """One path after the other."""
    return Path(np.concatenate([first.steps, second.steps]), np.concatenate([first.etas, second.etas]))


def evolve(landscape: Landscape, start: Array, path: Path, keep: NDArray[np.bool_] | None = None) -> Array:
    """Distributions [kept, cells] after the steps of `path` marked in `keep` (default: the last), from `start` [cells].

    Each is a probability per cell. Small negative values of the size of the time error are possible.
    """
    y = landscape.centres(len(start))
    width = (landscape.high - landscape.low) / len(start)
    if keep is None:
        keep = np.arange(len(path.steps)) == len(path.steps) - 1
    landscape.exponent(landscape.final, y)
    return _march(
        np.ascontiguousarray(start, dtype=np.float64),
        np.diff(landscape.potential(y)),
        0.5 * np.diff(landscape.log_sharpness(y)),
        path.steps / width**2,
        path.etas,
        landscape.clock == "steps",
        keep,
    )


@numba.njit(cache=True, error_model="numpy")
def _march(p, c_steps, a_steps, lengths, etas, in_steps, keep):  # type: ignore[no-untyped-def]  # pragma: no cover
    cells = len(p)
    kept = np.empty((keep.sum(), cells))
    p = p.copy()
    stage = np.empty(cells)
    up, down, pivot = np.empty(cells - 1), np.empty(cells - 1), np.empty(cells)
    weight_up, weight_down = np.empty(cells - 1), np.empty(cells - 1)
    last_eta = -1.0
    row = 0
    for n in range(len(lengths)):
        for part in range(2):
            eta = etas[n, part]
            if eta != last_eta:
                for i in range(cells - 1):
                    z = c_steps[i] / eta + a_steps[i]
                    size = abs(z)
                    small = 1 - size / 2 if size < 1e-12 else size / np.expm1(size)
                    weight_up[i] = small if z > 0 else small + size
                    weight_down[i] = small + size if z > 0 else small
                last_eta = eta
            scale = GAMMA * lengths[n] * eta * (eta if in_steps else 1.0)
            for i in range(cells - 1):
                up[i] = scale * weight_up[i]
                down[i] = scale * weight_down[i]
            # (1 - gamma dt L*) stage = p (first stage) or p + (1 - gamma)/gamma (stage - p) (second), by elimination.
            if part == 0:
                for i in range(cells):
                    stage[i] = p[i]
            else:
                for i in range(cells):
                    stage[i] = p[i] + (1 - GAMMA) / GAMMA * (stage[i] - p[i])
            pivot[0] = 1 + up[0]
            for i in range(1, cells):
                out = down[i - 1] + (up[i] if i < cells - 1 else 0.0)
                factor = up[i - 1] / pivot[i - 1]
                pivot[i] = 1 + out - factor * down[i - 1]
                stage[i] += factor * stage[i - 1]
            stage[cells - 1] /= pivot[cells - 1]
            for i in range(cells - 2, -1, -1):
                stage[i] = (stage[i] + down[i] * stage[i + 1]) / pivot[i]
        for i in range(cells):
            p[i] = stage[i]
        if keep[n]:
            kept[row] = p
            row += 1
    return kept
