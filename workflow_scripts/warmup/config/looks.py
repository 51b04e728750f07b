"""Looks of an adaptive design: when a study is looked at, and which runs are open to be trained.

In: effective settings; what each look opened next. Out: names of runs. What a look decides: `statistics.effect.looks`.
Standard library only, since the Snakefile is parsed again in every job.
"""

import csv
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from warmup.config.feasibility import FEWEST_ARMS
from warmup.config.grid import Run, all_looks, is_adaptive, warmup_label
from warmup.errors import ConfigurationError

Cell = tuple[str, str, str]
"""(architecture, task, recipe)."""


class Opening(NamedTuple):
    """What is open to a cell: the look (from 1) that comes next, the arms that go on, and the seeds each is to have.

    `projected`: seeds after which the cell would have its next verdict, by the look that opened this;
    None: nobody can tell.
    """

    look: int
    arms: tuple[str, ...]
    seeds: int
    projected: float | None = None


After = Callable[[Cell, int], Opening | None]
"""What a look of a cell opened, None if the cell stopped there. May raise where that look is not taken yet."""


def opening(record: Mapping[str, Any]) -> Opening | None:
    """What the record of a look says it opened; None if the cell stopped there."""
    opened = record["opens"]
    if opened is None:
        return None
    arms = tuple(warmup_label(arm) for arm in opened["arms"])
    return Opening(opened["look"], arms, opened["seeds"], record.get("projected"))


def why_fixed(settings: Mapping[str, Any]) -> str:
    """One sentence where `design: adaptive` was asked for and the selected study cannot take looks; else empty."""
    if settings["design"] != "adaptive" or is_adaptive(settings):
        return ""
    return (
        f"study {settings['study']!r} stays a fixed design: looks compare warmups, and this study compares something "
        f"else (a cell has fewer than {FEWEST_ARMS} warmups, a selection declares its own seeds, or there is more than "
        "one recipe)"
    )


def by_cell(runs: Iterable[Run]) -> dict[Cell, list[Run]]:
    """Runs of every cell, in their order."""
    found: dict[Cell, list[Run]] = {}
    for run in runs:
        found.setdefault(run[:3], []).append(run)
    return found


def first_opening(settings: Mapping[str, Any], runs: Iterable[Run]) -> Opening:
    """What is open to a cell of these runs before anything is known: every arm, the seeds of the first look."""
    return Opening(1, tuple(dict.fromkeys(run.warmup for run in runs)), all_looks(settings)[0])


def opened_runs(runs: Sequence[Run], openings: Iterable[Opening]) -> list[Run]:
    """Those runs of a cell (in: all that its last look could ask for) that the openings ask for.

    Raises ValueError for an arm that the cell does not have.
    """
    first_seed = min(int(run.seed) for run in runs)
    seeds: dict[str, int] = {}
    for opening in openings:
        seeds |= dict.fromkeys(opening.arms, opening.seeds)
    if unknown := set(seeds) - {run.warmup for run in runs}:
        raise ValueError(f"a look opened warmups that its cell does not have: {', '.join(sorted(unknown))}")
    return [run for run in runs if int(run.seed) < first_seed + seeds.get(run.warmup, 0)]


def openings(cell: Cell, first: Opening, after: After, until: int | None = None) -> list[Opening]:
    """All that is ever opened to a cell, in order; with `until`, what look number `until` looks at."""
    found = [first]
    while until is None or found[-1].look < until:
        following = after(cell, found[-1].look)
        if following is None:
            break
        found.append(following)
    return found


def on_disk(path_of: Callable[[Cell, int], str]) -> After:
    """What looks opened, from their records as they lie on disk; one that is not there opened nothing yet."""

    def after(cell: Cell, look: int) -> Opening | None:
        path = Path(path_of(cell, look))
        return opening(json.loads(path.read_bytes())) if path.exists() else None

    return after


def bounded_openings(
    cells: Mapping[Cell, Sequence[Run]],
    first: Mapping[Cell, Opening],
    after: After,
    budget: "Budget",
    until: tuple[Cell, int] | None = None,
) -> dict[Cell, list[Opening]]:
    """Like `openings`, for all cells together, within a budget; with `until`, as far as that look of that cell needs.

    In rounds. What each cell's verdict would still cost is projected by its last look; the cheapest verdicts that the
    rest of the budget would pay for together get their next look, then projections are made anew. Where the rest pays
    for none, it goes to next looks, in the same order. All of it follows from records, so that what is granted to one
    start is granted to every other.
    """
    found = {cell: [opening] for cell, opening in first.items()}
    left = budget.limit - sum(budget.price(cell, opened_runs(cells[cell], found[cell])) for cell in cells)
    stopped: set[Cell] = set()
    while not (until and found[until[0]][-1].look >= until[1]):
        asked = {cell: after(cell, found[cell][-1].look) for cell in cells if cell not in stopped}
        stopped |= {cell for cell, opening in asked.items() if opening is None}
        following = {cell: opening for cell, opening in asked.items() if opening is not None}
        prices = {cell: _price(cells[cell], found[cell], opening, budget) for cell, opening in following.items()}
        whole = {cell: _to_a_verdict(cell, found[cell][-1], opening, budget) for cell, opening in following.items()}
        order = sorted(following, key=lambda cell: (whole[cell], prices[cell]))
        granted = _affordable(order, whole, left) or _affordable(order, prices, left)
        if not granted:
            break
        for cell in granted:
            left -= prices[cell]
            found[cell].append(following[cell])
    return found


def _price(runs: Sequence[Run], opened: Sequence[Opening], following: Opening, budget: "Budget") -> float:
    """What the runs of the next look cost that are not opened yet."""
    cell = runs[0][:3]
    return budget.price(cell, opened_runs(runs, [*opened, following])) - budget.price(cell, opened_runs(runs, opened))


def _to_a_verdict(cell: Cell, last: Opening, following: Opening, budget: "Budget") -> float:
    """What is still to be paid until the next verdict, if projections are right; without one, nobody can pay."""
    if following.projected is None:
        return math.inf
    seeds = max(following.projected, following.seeds) - last.seeds
    return budget.per_run[cell] * len(following.arms) * seeds


def _affordable(order: Sequence[Cell], prices: Mapping[Cell, float], left: float) -> list[Cell]:
    """Those cells, in this order, whose prices together do not exceed what is left; dearer ones are passed over."""
    granted = []
    for cell in order:
        if prices[cell] <= left:
            left -= prices[cell]
            granted.append(cell)
    return granted


class Budget(NamedTuple):
    """What an adaptive study may cost, and what one run of each cell does, in the same unit."""

    limit: float
    per_run: Mapping[Cell, float]

    def price(self, cell: Cell, runs: Sequence[Run]) -> float:
        """What these runs of a cell cost."""
        return self.per_run[cell] * len(runs)


def budget(settings: Mapping[str, Any], cells: Iterable[Cell], bill: Path) -> Budget | None:
    """The declared budget, None where there is none; prices in device hours stand in `bill` (rule bill, CSV)."""
    declared = settings["looks"]["budget"]
    if "runs" in declared:
        return Budget(float(declared["runs"]), dict.fromkeys(cells, 1.0))
    if "device_hours" not in declared:
        return None
    if not bill.exists():
        raise ConfigurationError(f"looks.budget.device_hours: {bill} is gone, where prices stand; run `snakemake bill`")
    with bill.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    prices = {(row["architecture"], row["task"], row["recipe"]): float(row["run_hours"]) for row in rows}
    return Budget(float(declared["device_hours"]), prices)
