"""Worlds that the statistics are held against, by name: null, boundary, and what trainings do to assumptions.

Unit: the practical margin is 1. Four warmups (the laptop's) below five seeds, the published seven from there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from known_truth.simulation import GRID, Design, planted_optimum

LAPTOP = (0.0, 0.02, 0.1, 0.3)
SEEDS = (2, 3, 5, 10)
NOISE = 0.6
"""sd of an outcome around its arm once the seed's own part is taken out, in margins."""
VALLEY = 0.033
"""Where the curves with one valley are lowest: between two warmups of either grid."""


@dataclass(frozen=True)
class World:
    """A design with its name; `valley`: where its optimum lies, for curves that have one."""

    name: str
    design: Design
    valley: float | None = None


def grid(seeds: int) -> tuple[float, ...]:
    """The laptop's four warmups below five seeds, the published seven from there."""
    return LAPTOP if seeds < 5 else GRID


def design(seeds: int, regret: Any, apart: float = NOISE, **changes: Any) -> Design:
    """Four architectures on one task; `regret` [warmups] in margins, `apart`: sd of one arm."""
    settings = {"level": 20.0, "initial": 30.0, "sd": apart * 2.0**0.5, "icc": 0.5} | changes
    return Design(seeds=seeds, warmups=grid(seeds), regret=regret, **settings)


def curve(warmups: tuple[float, ...], shape: str, height: float = 3.0) -> Any:
    """Regret [warmups] of a curve with its one valley at VALLEY: hockey stick | cliff | bowl."""
    x = np.log((np.array(warmups) + 0.005) / (VALLEY + 0.005))
    left = height * -x / -x[0]
    if shape == "hockey stick":
        return np.where(x < 0, left, 0.1 * x)
    if shape == "cliff":
        return np.where(x < 0, left / 3.0, 10.0)
    return height * (x / x[0]) ** 2


def cell_worlds(seeds: int) -> Iterator[World]:
    """What one cell is judged in."""
    arms = len(grid(seeds))
    none, first = np.zeros(arms), np.eye(arms)[0]
    alternate = np.array([1.0 - index % 2 for index in range(arms)])
    yield World("null", design(seeds, none))
    yield World("no warmup one margin worse", design(seeds, first))
    yield World("no warmup three margins worse", design(seeds, 3.0 * first))
    yield World("all but the second one margin worse, little noise", design(seeds, 1.0 - np.eye(arms)[1], 0.2))
    yield World("every other one margin worse", design(seeds, alternate, 0.3))
    for shape in ("hockey stick", "cliff", "bowl"):
        yield World(shape, design(seeds, curve(grid(seeds), shape)), VALLEY)
    ten = 1.0 + 9.0 * first
    yield World("null, no warmup ten times as noisy", design(seeds, none, arm_spread=ten))
    yield World("every other worse, no warmup ten times as noisy", design(seeds, alternate, 0.1, arm_spread=ten))
    yield World("null, this architecture three times as noisy", design(seeds, none, cell_spread=(3.0, 1.0, 1.0, 1.0)))
    own = 1.0 + 2.0 * np.eye(arms)[[0, 1, 2, 3]]
    yield World("null, another warmup three times as noisy in each", design(seeds, none, arm_spread=own))
    yield World("every other worse, skewed noise", design(seeds, alternate, 0.3, noise="skewed"))
    yield World("every other worse, heavy tails", design(seeds, alternate, 0.3, noise="heavy"))
    yield World("null, no warmup diverges in half of the runs", design(seeds, none, divergence=0.5))
    if seeds < 5:  # above, every pattern of missing runs among four cells would need a simulation of its own
        yield World("null, one run of twenty missing", design(seeds, none, missing=0.05))


def study_worlds(seeds: int) -> Iterator[World]:
    """What a study of four architectures and three tasks is judged in."""
    arms = len(grid(seeds))
    yield World("null", design(seeds, np.zeros(arms), tasks=3))
    yield World("no warmup one margin worse in all", design(seeds, np.eye(arms)[0], tasks=3))


def mixed_worlds() -> dict[str, Design]:
    """What the mixed model is judged in: four architectures, three tasks; effects of 3 % of the outcome."""
    rising, falling = planted_optimum(LAPTOP, 0.3, 0.06), planted_optimum(LAPTOP, 0.0, 0.06)
    none, odd = np.zeros(4), [np.zeros(4), 6.0 * rising, 6.0 * falling]
    planted = {
        "null": [none] * 12,
        "architectures differ, tasks do not": [rising] * 6 + [falling] * 6,
        "architectures differ, tasks do far more": [
            (rising if cell < 6 else falling) + odd[cell % 3] for cell in range(12)
        ],
        "opposite in two tasks": [[rising, falling, none][cell % 3] for cell in range(12)],
    }
    shape = {"architectures": 4, "tasks": 3, "seeds": 3, "warmups": LAPTOP, "sd": 0.02}
    return {name: Design(**shape, regret=np.stack(regret)) for name, regret in planted.items()}  # type: ignore[arg-type]


KNOWN_LIMITS = {("null, another warmup three times as noisy in each", seeds) for seeds in SEEDS}
"""Worlds in which a promise is known to be broken, with the seeds; by how much, docs/simulations.md says."""
