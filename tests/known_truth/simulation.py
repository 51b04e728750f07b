"""Synthetic studies with known truth: the runs tables that statistics are held against.

An outcome = level of the cell + planted regret of its warmup + effect of the seed + noise. The seed's effect is shared
by the warmups of a world (architecture, task, seed), with intra-class correlation `icc`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars
from numpy.typing import NDArray

from warmup.statistics.base.blocks import Block
from warmup.statistics.base.intervals import Floats
from warmup.statistics.base.outcomes import SCHEMA

GRID = (0.0, 0.005, 0.01, 0.02, 0.05, 0.08, 0.2)
"""Warmups of the published study."""


@dataclass(frozen=True)
class Design:
    """A synthetic study. `sd`: of one outcome around its arm's mean (seed effect and noise together).

    `regret` [warmups] or [cells, warmups]: planted, in the outcome's unit, cells in the order architecture, task;
    `cell_spread` [cells] and `arm_spread` [warmups] or [cells, warmups] multiply the noise; `noise`: normal | skewed
    (exponential) | heavy (t with 4 degrees of freedom), each with unit variance. `divergence`: chance that a run
    without warmup diverges, and then counts as `initial`; `missing`: chance that a run is missing.
    """

    architectures: int = 4
    tasks: int = 1
    seeds: int = 3
    warmups: Sequence[float] = GRID
    level: float = 2.0
    sd: float = 0.02
    icc: float = 0.5
    regret: Any = 0.0
    cell_spread: Sequence[float] = ()
    arm_spread: Any = 1.0
    noise: str = "normal"
    divergence: float = 0.0
    missing: float = 0.0
    steps: int = 1000
    initial: float = field(default=4.0)

    @property
    def cells(self) -> int:
        """How many cells the study has (one recipe)."""
        return self.architectures * self.tasks

    @property
    def regrets(self) -> Floats:
        """Planted regret [cells, warmups]; each cell's smallest is not necessarily 0."""
        planted = np.broadcast_to(np.asarray(self.regret, dtype=np.float64), (self.cells, len(self.warmups)))
        return np.array(planted)

    @property
    def truth(self) -> Floats:
        """True regret [cells, warmups] of the mean outcome, divergences included."""
        means = self.level + self.regrets
        unwarmed = np.asarray(self.warmups) == 0.0
        means[:, unwarmed] += self.divergence * (self.initial - means[:, unwarmed])
        return means - means.min(axis=1, keepdims=True)


@dataclass(frozen=True)
class Drawn:
    """Outcomes and divergences of independent studies, [studies, cells, seeds, warmups]; not-a-number: missing."""

    values: Floats
    diverged: NDArray[np.bool_]


def planted_optimum(warmups: Sequence[float], best: float, strength: float, offset: float = 0.005) -> Floats:
    """Regret [warmups] that is quadratic in log(W + offset), lowest at `best`; `strength` at the farthest warmup."""
    distance = (np.log(np.asarray(warmups) + offset) - np.log(best + offset)) ** 2
    return strength * distance / distance.max()


def draw(design: Design, generator: np.random.Generator, studies: int = 1) -> Drawn:
    """Independent studies of one design."""
    shape = (studies, design.cells, design.seeds, len(design.warmups))
    noise = _NOISE[design.noise](generator, shape)
    seed = generator.standard_normal((*shape[:3], 1))
    arm = np.broadcast_to(np.asarray(design.arm_spread, dtype=np.float64), (shape[1], shape[3]))[:, None, :]
    cell = np.asarray(design.cell_spread or [1.0] * shape[1])[:, None, None]
    spread = design.sd * (design.icc**0.5 * seed + (1.0 - design.icc) ** 0.5 * arm * noise)
    values = np.asarray(design.level + design.regrets[:, None, :] + cell * spread)
    diverged = generator.random(shape) < design.divergence
    diverged[..., np.asarray(design.warmups) != 0.0] = False
    values[diverged] = design.initial
    values[generator.random(shape) < design.missing] = np.nan
    return Drawn(values, diverged)


def blocks(design: Design, drawn: Drawn, study: int) -> list[Block]:
    """The cells of one of the drawn studies, as the statistics take them."""
    arms = tuple(map(float, design.warmups))
    cells = zip(drawn.values[study], drawn.diverged[study], strict=True)
    return [Block(arms, np.arange(design.seeds), values, diverged) for values, diverged in cells]


def runs(design: Design, seed: int = 0) -> polars.DataFrame:
    """One study of the design as a runs table (`outcomes.SCHEMA`), the same for equal arguments.

    A diverged run has no final losses and its best validation loss is the one at initialisation.
    """
    drawn = draw(design, np.random.default_rng(seed))
    values, diverged = drawn.values[0], drawn.diverged[0]
    rows = []
    for cell in range(design.cells):
        architecture, task = divmod(cell, design.tasks)
        for s, w in np.ndindex(design.seeds, len(design.warmups)):
            if np.isnan(values[cell, s, w]):
                continue
            failed = bool(diverged[cell, s, w])
            loss = float(values[cell, s, w])
            rows.append(
                {"architecture": f"a{architecture:02d}", "task": f"t{task}", "recipe": "adamw"}
                | {"warmup": float(design.warmups[w]), "warmup_steps": int(design.warmups[w] * design.steps + 0.5)}
                | {"seed": s, "steps": design.steps, "status": "diverged" if failed else "finished"}
                | {"initial_validation_loss": design.initial}
                | {"best_validation_loss": loss}
                | {"final_validation_loss": None if failed else loss + 0.01}
                | {"final_training_loss": None if failed else loss - 0.05}
                | {"best_step": 0 if failed else design.steps - 1, "metric": "perplexity"}
                | {"best_metric": float(np.exp(loss))}
                | {"final_metric": None if failed else float(np.exp(loss))}
                | {"peak_learning_rate": 6e-4, "beta2": 0.999, "weight_decay": 0.1, "parameters": 1000}
                | {"role": "study", "stale": False}
            )
    return polars.DataFrame(rows, schema=SCHEMA)


def _heavy(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return generator.standard_t(4, shape) / 2.0**0.5


def _skewed(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return generator.standard_exponential(shape) - 1.0


def _normal(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return generator.standard_normal(shape)


_NOISE = {"normal": _normal, "skewed": _skewed, "heavy": _heavy}
