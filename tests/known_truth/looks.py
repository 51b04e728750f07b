"""Adaptive studies of known truth, sent through the function that rule look calls: how often do all looks together err?

A cell errs where a warmup whose regret is more than the margin is demonstrated, or no warmup is excluded although its
regret is not. Both are hardest to avoid with regrets at the margin itself, which is where WORLDS put them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from warmup.statistics.base.blocks import Block
from warmup.statistics.effect import looks

SETTINGS: dict[str, Any] = {
    "looks": {"seeds": [3, 5, 7, 10], "extensions": [], "futile": 1.5, "spending": "late"},
    "confidence": 0.95,
    "reference": 0.0,
    "margin": {"absolute": 1.0},
}
BEYOND = 1.0001
"""A regret just beyond the margin."""
DRAWS = 10_000


@dataclass(frozen=True)
class World:
    """True regrets of the arms in margins (the first is no warmup) and what their noise is like.

    `sd`: noise of an arm in margins; `spread` [arms] multiplies it, `lent` [arms] does in the pilot; `noise`: normal |
    heavy (t with 4 degrees of freedom) | skewed; `missing`: chance that a run is absent; `divergence`: that a run
    without warmup diverges.
    """

    name: str
    regrets: Sequence[float]
    sd: float = 0.4
    spread: Sequence[float] = ()
    lent: Sequence[float] = ()
    noise: str = "normal"
    missing: float = 0.0
    divergence: float = 0.0


@dataclass(frozen=True)
class Rates:
    """Shares of the studies: falsely demonstrated, falsely excluded, decided, stopped as futile; share of runs used."""

    demonstrated: float
    excluded: float
    decided: float
    futile: float
    runs: float

    def upper(self, studies: int) -> float:
        """Upper 95 % limit of the larger of the false rates (normal, one-sided)."""
        rate = max(self.demonstrated, self.excluded)
        return float(rate + 1.645 * (max(rate, 1.0 / studies) * (1.0 - rate) / studies) ** 0.5)


def worlds(arms: int) -> list[World]:
    """Regrets at the margin, with plain noise and with what trainings do."""
    noisy = (3.0,) + (1.0,) * (arms - 1)
    flat = (1.0,) * arms
    found = []
    for where, regrets in (
        ("all but one beyond the margin", (BEYOND, 0.0) + (BEYOND,) * (arms - 2)),
        ("no warmup at the margin", (1.0,) + (0.0,) * (arms - 1)),
    ):
        found += [
            World(f"{where}", regrets),
            World(f"{where}, twice the noise", regrets, sd=0.8),
            World(f"{where}, no warmup x3 as noisy", regrets, spread=noisy, lent=noisy),
            World(f"{where}, no warmup x3 as noisy, not in the pilot", regrets, spread=noisy, lent=flat),
            World(f"{where}, heavy tails", regrets, noise="heavy"),
            World(f"{where}, skewed", regrets, noise="skewed"),
            World(f"{where}, 5 % of runs missing", regrets, missing=0.05),
            World(f"{where}, no warmup diverges in 10 %", regrets, divergence=0.1),
        ]
    return found


def study(world: World, generator: np.random.Generator, seeds: int = 10) -> tuple[Block, list[Block]]:
    """One cell of this world, and a pilot of four cells with four seeds each."""
    arms = tuple(float(arm) for arm in range(len(world.regrets)))
    regrets = np.array(world.regrets)

    def block(count: int, mean: Any, spread: Any) -> Block:
        noise = _NOISE[world.noise](generator, (count, len(arms)))
        values = mean + world.sd * (spread * noise + generator.standard_normal((count, 1)))
        return Block(arms, np.arange(count), values, np.zeros(values.shape, dtype=bool))

    cell = block(seeds, 100.0 + regrets, np.array(world.spread or [1.0] * len(arms)))
    cell.diverged[:, 0] = generator.random(seeds) < world.divergence
    cell.values[cell.diverged] = 100.0 + 20.0
    cell.values[generator.random(cell.values.shape) < world.missing] = np.nan
    lent = np.array(world.lent or world.spread or [1.0] * len(arms))
    return cell, [block(4, 0.0, lent) for _ in range(4)]


def simulate(world: World, studies: int, seed: int = 1, settings: Mapping[str, Any] = SETTINGS) -> Rates:
    """Rates over independent studies of one cell; what diverges moves the truth, which is the mean over runs."""
    generator = np.random.default_rng(seed)
    truth = np.array(world.regrets) - min(world.regrets)
    truth[0] += 20.0 * world.divergence  # a diverged run counts as the loss that it has
    counts = dict.fromkeys(("demonstrated", "excluded", "decided", "futile", "runs"), 0.0)
    for _ in range(studies):
        block, pilot = study(world, generator, settings["looks"]["seeds"][-1])
        records = looks.replay(block, pilot, settings, draws=DRAWS)
        last = records[-1]
        counts["demonstrated"] += any(row.get("demonstrated") and truth[int(row["warmup"])] > 1.0 for row in last.arms)
        counts["excluded"] += last.reference_verdict == "excluded" and truth[0] <= 1.0
        counts["decided"] += last.verdict == looks.DECIDED
        counts["futile"] += last.verdict == looks.FUTILE
        trained = {arm: record.seeds for record in records for arm in record.looked_at}
        counts["runs"] += sum(trained.values()) / block.values.size
    return Rates(**{name: count / studies for name, count in counts.items()})


_NOISE = {
    "normal": lambda generator, shape: generator.standard_normal(shape),
    "heavy": lambda generator, shape: generator.standard_t(4, shape) / 2.0**0.5,
    "skewed": lambda generator, shape: generator.standard_exponential(shape) - 1.0,
}
