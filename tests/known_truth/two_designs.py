"""The adaptive design beside the fixed one, on the same runs: stored ones, or studies planted at a measured noise.

In: cells with as many seeds as the last look asks for (`outcomes.Cell`), the settings of a scale. Out: what each design
says of each cell, `Answer`, through the functions that the rules call: one look at all seeds at the whole error rate
(fixed), the declared looks without a bound, which spend late (adaptive), and the scale's own looks, as many as its
budget of runs grants (bounded).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from warmup.config import looks as opened
from warmup.config.grid import Run, warmup_label
from warmup.statistics.base.blocks import Block
from warmup.statistics.base.intervals import Floats
from warmup.statistics.base.nulls import DRAWS
from warmup.statistics.base.outcomes import Cell
from warmup.statistics.base.pairing import study_errors
from warmup.statistics.effect import best, looks
from warmup.statistics.effect.look_records import lent_by
from warmup.statistics.effect.plateau import margin

REPOSITORY = Path(__file__).resolve().parents[2]
DESIGNS = ("fixed", "adaptive", "bounded")


@dataclass(frozen=True)
class Answer:
    """What a design says of a cell: the verdict on no warmup, which warmups it shows to lie within the margin and which
    beyond it, how the cell ended, and how many runs that took."""

    reference: str
    within: frozenset[float]
    beyond: frozenset[float]
    end: str
    runs: int

    @property
    def judges_reference(self) -> bool:
        """Whether no warmup has a verdict."""
        return self.reference in (best.EXCLUDED, best.WITHIN)

    def contradicts(self, other: "Answer") -> bool:
        """Whether one shows what the other refutes."""
        opposite = self.judges_reference and other.judges_reference and self.reference != other.reference
        return opposite or bool(self.within & other.beyond or self.beyond & other.within)

    def wrong(self, regrets: Mapping[float, float], reference: float) -> bool:
        """Whether anything that is said is not so; `regrets`: true ones by warmup, in margins."""
        exceeding = {arm for arm, regret in regrets.items() if regret > 1.0}
        said = (self.reference == best.EXCLUDED and reference not in exceeding) or (
            self.reference == best.WITHIN and reference in exceeding
        )
        return said or bool(self.within & exceeding or self.beyond - exceeding)


@dataclass(frozen=True)
class Truth:
    """A cell to plant: true `means` [arms] and the `covariance` [arms, arms] of the runs of one seed, normal."""

    cell: Cell
    means: Floats
    covariance: Floats
    margin: float

    @property
    def noise(self) -> float:
        """Residual standard deviation, what seeds and warmups together leave, in margins."""
        arms = len(self.covariance)
        centring = np.eye(arms) - 1.0 / arms
        return float(np.sqrt(np.trace(centring @ self.covariance @ centring) / (arms - 1)) / self.margin)

    def regrets(self) -> dict[float, float]:
        """True regret of each warmup in margins."""
        found = (self.means - self.means.min()) / self.margin
        return dict(zip(map(float, self.cell.block.arms), found.tolist(), strict=True))

    def with_regrets(self, regrets: Sequence[float]) -> "Truth":
        """The same cell with other true regrets [arms], in margins; one of them is 0, so that the margin stays."""
        return dataclasses.replace(self, means=self.means.min() + self.margin * np.array(regrets))

    def draw(self, generator: np.random.Generator, seeds: int) -> Cell:
        """The cell, its runs drawn anew."""
        values = generator.multivariate_normal(self.means, self.covariance, size=seeds, method="cholesky")
        clean = np.zeros(values.shape, dtype=bool)
        return dataclasses.replace(self.cell, block=Block(self.cell.block.arms, np.arange(seeds), values, clean))


def measured(cells: Sequence[Cell], settings: Mapping[str, Any]) -> list[Truth]:
    """What stored cells measure, as if it were the truth; a cell needs more complete seeds than warmups."""
    found = []
    for cell in cells:
        values = cell.block.complete
        if len(values) <= values.shape[1]:
            raise ValueError(f"{cell.key}: {len(values)} complete seeds do not show {values.shape[1]} warmups' noise")
        means = values.mean(axis=0)
        scale = margin(settings["statistics"], cell.task, float(means.min()))
        found.append(Truth(cell, means, np.cov(values, rowvar=False), scale))
    return found


def answers(cells: Sequence[Cell], settings: Mapping[str, Any], draws: int = DRAWS) -> dict[str, list[Answer]]:
    """What each of DESIGNS says of each cell of a study; `settings`: effective ones of an adaptive scale.

    `draws`: simulated null studies behind critical values.
    """
    statistics = settings["statistics"]
    unbounded = {cell_of(cell): _replayed(cell, spending_late(settings), draws) for cell in cells}
    records = {cell_of(cell): _replayed(cell, settings, draws) for cell in cells}
    runs = {cell_of(cell): _runs(cell) for cell in cells}
    granted = _granted(runs, records, settings)
    found: dict[str, list[Answer]] = {name: [] for name in DESIGNS}
    for cell, errors in zip(cells, study_errors(cells, draws), strict=True):
        key, means = cell_of(cell), cell.block.complete.mean(axis=0)
        delta = margin(statistics, cell.task, float(means.min()))
        judged = best.judge(cell.block, errors, delta, statistics["confidence"], float(statistics["reference"]))
        arms = np.array(cell.block.arms, dtype=float)
        found["fixed"].append(
            Answer(
                judged.reference,
                frozenset(arms[judged.demonstrated].tolist()),
                frozenset(arms[~judged.not_excluded].tolist()),
                looks.DECIDED if judged.demonstrated.any() and judged.reference != best.UNDECIDED else "open",
                len(runs[key]),
            )
        )
        found["adaptive"].append(_answer(unbounded[key]))
        found["bounded"].append(_answer(records[key][: granted[key]]))
    return found


def spending_late(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings, their looks spending late, as looks without a bound do unless told otherwise."""
    return {**settings, "looks": {**settings["looks"], "spending": looks.LATE}}


def cell_of(cell: Cell) -> opened.Cell:
    """The cell's name."""
    return (cell.architecture, cell.task, cell.recipe)


def _replayed(cell: Cell, settings: Mapping[str, Any], draws: int) -> list[looks.Record]:
    """Records of the looks at a cell, as rule look takes them."""
    statistics = settings["statistics"]
    margins = statistics["margins"]
    pilot = settings["looks"]["pilot"]
    rules = {
        "looks": settings["looks"],
        "confidence": statistics["confidence"],
        "reference": statistics["reference"],
        "margin": margins.get(cell.task) or margins["default"],
    }
    lent = _lent(str(REPOSITORY / pilot) if pilot else None, cell.task, statistics["outcome"])
    return looks.replay(cell.block, lent, rules, draws=draws)


_LENT: dict[tuple[str | None, str, str], list[Block]] = {}


def _lent(*pilot_task_outcome: Any) -> list[Block]:
    if pilot_task_outcome not in _LENT:
        _LENT[pilot_task_outcome] = lent_by(*pilot_task_outcome)
    return _LENT[pilot_task_outcome]


def _runs(cell: Cell) -> list[Run]:
    return [
        Run(*cell_of(cell), warmup_label(arm), str(seed))
        for arm in cell.block.arms
        for seed in range(len(cell.block.seeds))
    ]


def _granted(
    runs: Mapping[opened.Cell, list[Run]],
    records: Mapping[opened.Cell, list[looks.Record]],
    settings: Mapping[str, Any],
) -> dict[opened.Cell, int]:
    """Number of looks at each cell that the budget of runs grants."""

    def after(cell: opened.Cell, look: int) -> opened.Opening | None:
        return opened.opening(vars(records[cell][look - 1]))

    first = {cell: opened.first_opening(settings, runs[cell]) for cell in runs}
    budget = opened.Budget(float(settings["looks"]["budget"]["runs"]), dict.fromkeys(runs, 1.0))
    found = opened.bounded_openings(runs, first, after, budget)
    return {cell: openings[-1].look for cell, openings in found.items()}


def _answer(records: Sequence[looks.Record]) -> Answer:
    """What stands after these looks at a cell."""
    last = records[-1]
    trained = {arm: record.seeds for record in records for arm in record.looked_at}
    return Answer(
        last.reference_verdict,
        frozenset(float(row["warmup"]) for row in last.arms if row.get("demonstrated")),
        frozenset(float(row["warmup"]) for row in last.arms if not row.get("not_excluded", True)),
        last.verdict,
        sum(trained.values()),
    )
