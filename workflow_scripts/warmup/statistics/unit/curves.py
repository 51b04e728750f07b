"""Warmups of one corner predicted from the curves of the others, counted in a unit.

A *corner* is a way to train: a horizon, a batch size, a beta2. A *unit* is what a warmup is counted in: its share of
training times powers of horizon, batch and 1 - beta2 (`UNITS`). If warmup is needed in that unit, the curves of loss
against warmup of all corners are one curve in it, up to their levels. In: mean outcomes of the corners. Out: the arm of
the corner left out at which the common curve of the others is lowest.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from warmup.statistics.base.intervals import Floats

UNITS: dict[str, tuple[float, float, float]] = {
    "share": (0.0, 0.0, 0.0),
    "steps": (1.0, 0.0, 0.0),
    "examples": (1.0, 1.0, 0.0),
    "time_constants": (1.0, 0.0, 1.0),
    "examples_over_memory": (1.0, 1.0, 1.0),
}
"""Powers of (steps of training, batch size, 1 - beta2) that turn a share of training into the unit: updates, examples
(or tokens, at equal length), updates over the memory 1 / (1 - beta2) of the second moment, examples over that memory.
"""
OCTAVE = 1.0
"""Distance of the common curve's knots, in doublings of the warmup."""
STIFFNESS, FLATNESS = 0.3, 1e-3
"""Weights of the common curve's squared second differences (noise is smoothed), and first ones (it goes on flat where
no curve reaches); one run of a corner weighs 1."""


@dataclass(frozen=True)
class Corner:
    """A way to train: updates, examples per update, decay of the second moment."""

    steps: int
    batch_size: int
    beta2: float

    def scale(self, unit: str) -> float:
        """How much of the unit the whole training is."""
        powers = UNITS[unit]
        sizes = (float(self.steps), float(self.batch_size), 1.0 - self.beta2)
        return float(np.prod([size**power for size, power in zip(sizes, powers, strict=True)]))


@lru_cache(maxsize=256)
def predictor(corners: tuple[Corner, ...], warmups: tuple[float, ...], held_out: int, unit: str) -> Floats:
    """Matrix [warmups, (corners - 1) x warmups] from outcomes of all corners but one to the common curve at its own.

    `warmups`: shares of training, 0 first or absent. The curve is piecewise linear in log2 of the unit, no warmup has a
    value of its own (it is none in every unit), each corner has a level; penalised least squares. The curve that comes
    out has its own level: only its differences mean something.
    """
    shares = np.asarray(warmups, dtype=np.float64)
    positive = shares > 0
    logs = np.log2(shares[positive])
    offsets = np.array([np.log2(corner.scale(unit)) for corner in corners])
    lowest, highest = offsets.min() + logs.min(), offsets.max() + logs.max()
    knots = 1 + int(np.ceil((highest - lowest) / OCTAVE - 1e-9))
    width = knots + 1  # the last column: no warmup

    def rows(corner: int) -> Floats:
        found = np.zeros((len(shares), width))
        found[~positive, knots] = 1.0
        place = (logs + offsets[corner] - lowest) / OCTAVE
        below = np.minimum(place.astype(np.int64), knots - 1)
        part = place - below
        at = np.flatnonzero(positive)
        found[at, below] += 1.0 - part
        found[at, np.minimum(below + 1, knots - 1)] += part
        return found

    others = [index for index in range(len(corners)) if index != held_out]
    curve = np.vstack([rows(index) for index in others])
    levels = np.kron(np.eye(len(others)), np.ones((len(shares), 1)))
    design = np.hstack([curve, levels])
    penalty = np.zeros((design.shape[1], design.shape[1]))
    for order, weight in ((2, STIFFNESS), (1, FLATNESS)):
        if knots > order:
            differences = np.diff(np.eye(knots), n=order, axis=0)
            penalty[:knots, :knots] += weight * differences.T @ differences
    solution = np.linalg.pinv(design.T @ design + penalty) @ design.T
    return np.asarray(rows(held_out) @ solution[:width])
