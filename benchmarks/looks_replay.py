"""The adaptive design replayed on runs of a fixed one: contradictions, verdicts kept, runs used, errors, what is found.

.venv/bin/python benchmarks/looks_replay.py stored [--runs benchmarks/laptop_ten_seeds.csv] [--orders 100]
.venv/bin/python benchmarks/looks_replay.py planted [--runs ...] [--studies 2000] [--truths null harmed measured]

`stored` replays a scale's looks on the cells of a runs table, each with its first complete seeds (as many as the last
look asks for), in the order in which they stand and in other orders. `planted` draws whole studies with the noise that
the table measures in each cell (normal, the covariance of a seed's runs), where nothing differs (null), no warmup is
three margins worse (harmed), the longest warmup is (long), or means are those that were measured (measured).
"""

import argparse
import dataclasses
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "workflow_scripts"), str(REPOSITORY / "tests")]

from known_truth import two_designs  # noqa: E402  (the packages are found through the line above)
from known_truth.two_designs import Answer, Truth  # noqa: E402

from warmup.config import configuration  # noqa: E402
from warmup.statistics.base.blocks import Block  # noqa: E402
from warmup.statistics.base.outcomes import SCHEMA, Cell, cells  # noqa: E402
from warmup.statistics.effect import looks  # noqa: E402

EFFECT = 3.0
"""Of the positive controls, in margins."""
DRAWS = 10_000
"""Null studies behind the critical values of planted studies; what is stored is judged as the rules judge it."""


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=["stored", "planted"])
    parser.add_argument("--runs", type=Path, default=REPOSITORY / "benchmarks/laptop_ten_seeds.csv")
    parser.add_argument("--scale", default="laptop")
    parser.add_argument("--orders", type=int, default=100)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--truths", nargs="+", choices=list(_REGRETS), default=list(_REGRETS))
    chosen = parser.parse_args()
    given = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    settings = configuration.effective({**given, "scale": chosen.scale, "design": "adaptive"})
    found = stored_cells(chosen.runs, settings)
    for name, rules in (("adaptive", two_designs.spending_late(settings)), ("bounded", settings)):
        levels = looks.levels({**rules, "confidence": settings["statistics"]["confidence"]})
        spent = ", ".join(f"{level:.2g}" for level in levels)
        print(f"{len(found)} cells of {chosen.runs.name}, {name}: looks at {rules['looks']['seeds']} spend {spent}")
    if chosen.table == "stored":
        stored(found, settings, chosen.orders)
    else:
        for name in chosen.truths:
            planted(name, two_designs.measured(found, settings), settings, chosen.studies)


def stored_cells(path: Path, settings: dict[str, Any]) -> list[Cell]:
    """Cells of a runs table (CSV), each with its first complete seeds, as many as the last look asks for."""
    table = polars.read_csv(path, schema_overrides=dict(SCHEMA))
    needed, found = settings["looks"]["seeds"][-1], []
    for cell in cells(table, settings["statistics"]["outcome"]):
        complete = np.flatnonzero(np.isfinite(cell.block.values).all(axis=1))[:needed]
        if len(complete) < needed:
            raise SystemExit(
                f"{path}: {cell.architecture}, {cell.task} has {len(complete)} complete seeds, not {needed}"
            )
        found.append(_of_seeds(cell, complete))
    return found


def stored(found: Sequence[Cell], settings: dict[str, Any], orders: int) -> None:
    """Print what both designs say of each stored cell, then the shares over other orders of its seeds."""
    said = two_designs.answers(found, settings)
    print("architecture, task | no warmup by fixed, adaptive, bounded | shown to be within | runs")
    for at, cell in enumerate(found):
        here = [said[name][at] for name in two_designs.DESIGNS]
        within = " / ".join(",".join(f"{arm:g}" for arm in sorted(answer.within)) or "-" for answer in here)
        verdicts, runs = (" / ".join(str(getattr(answer, name)) for answer in here) for name in ("reference", "runs"))
        print(f"{cell.architecture}, {cell.task} | {verdicts} | {within} | {runs}")
    generator = np.random.default_rng(1)
    for name in two_designs.DESIGNS[1:]:
        print(f"{name}, seeds in their order: {shares(zip(said['fixed'], said[name], strict=True))}")
    seeds = len(found[0].block.seeds)
    shuffled = [
        two_designs.answers([_of_seeds(cell, order) for cell in found], settings)
        for order in (generator.permutation(seeds) for _ in range(orders))
    ]
    for name in two_designs.DESIGNS[1:]:
        pairs = [pair for one in shuffled for pair in zip(one["fixed"], one[name], strict=True)]
        print(f"{name}, {orders} orders of the seeds: {shares(pairs)}")


def planted(name: str, truths: Sequence[Truth], settings: dict[str, Any], studies: int) -> None:
    """Print, for each cell of planted studies and over all, how often each design errs and what it finds."""
    generator, seeds = np.random.default_rng(1), settings["looks"]["seeds"][-1]
    true = [_REGRETS[name](truth) for truth in truths]
    reference = float(settings["statistics"]["reference"])
    tables: dict[str, list[list[Answer]]] = {design: [[] for _ in true] for design in two_designs.DESIGNS}
    for _ in range(studies):
        said = two_designs.answers([truth.draw(generator, seeds) for truth in true], settings, DRAWS)
        for design, each in said.items():
            for at, answer in enumerate(each):
                tables[design][at].append(answer)
    print(f"{name}, {studies} studies: shares with something wrong said, no warmup judged, a warmup shown within; runs")
    print("noise, margins | " + " | ".join(two_designs.DESIGNS))
    for at in np.argsort([truth.noise for truth in true]).tolist():
        truth = true[at]
        parts = [_rates(tables[design][at], truth.regrets(), reference) for design in two_designs.DESIGNS]
        print(f"{truth.noise:4.2f} {truth.cell.architecture}, {truth.cell.task} | " + " | ".join(parts), flush=True)
    for design in two_designs.DESIGNS[1:]:
        pairs = [
            pair
            for fixed, other in zip(tables["fixed"], tables[design], strict=True)
            for pair in zip(fixed, other, strict=True)
        ]
        print(f"{design} beside fixed, all cells: {shares(pairs)}", flush=True)


def shares(pairs: Iterable[tuple[Answer, Answer]]) -> str:
    """In words: contradictions, which of the fixed design's verdicts the other keeps and why not, share of runs used.

    A verdict is one on no warmup, or that some warmup is shown to lie within the margin; a cell is decided by both.
    """
    known = list(pairs)
    judged = [(other, other.reference == one.reference) for one, other in known if one.judges_reference]
    shown = [(other, bool(other.within)) for one, other in known if one.within]
    decided = [(other, other.end == looks.DECIDED) for one, other in known if one.end == looks.DECIDED]
    lost = [other.end for other, kept in judged + shown if not kept]
    new = sum(other.judges_reference and not one.judges_reference for one, other in known)
    new += sum(bool(other.within) and not one.within for one, other in known)
    runs = sum(other.runs for _, other in known) / sum(one.runs for one, _ in known)
    return (
        f"{sum(one.contradicts(other) for one, other in known)} contradictions; kept {_kept(judged)} on no warmup, "
        f"{_kept(shown)} with a warmup shown, {_kept(judged + shown)} of both, {_kept(decided)} decided cells; lost "
        f"{lost.count(looks.FUTILE)} as futile, {lost.count(looks.AT_THE_CAP)} at the last look, "
        f"{lost.count(looks.GOES_ON)} for want of budget; {new} new; runs {runs:.2f}"
    )


def _kept(verdicts: Sequence[tuple[Answer, bool]]) -> str:
    kept = sum(each for _, each in verdicts)
    return f"{kept} of {len(verdicts)} ({kept / max(len(verdicts), 1):.2f})"


def _rates(said: Sequence[Answer], regrets: dict[float, float], reference: float) -> str:
    count = len(said)
    wrong = sum(answer.wrong(regrets, reference) for answer in said) / count
    judged = sum(answer.judges_reference for answer in said) / count
    shown = sum(bool(answer.within) for answer in said) / count
    return f"{wrong:.4f} {judged:.3f} {shown:.3f} {sum(answer.runs for answer in said) / count:4.1f}"


def _of_seeds(cell: Cell, rows: Any) -> Cell:
    block = cell.block
    return dataclasses.replace(
        cell, block=Block(block.arms, block.seeds[rows], block.values[rows], block.diverged[rows])
    )


_REGRETS = {
    "null": lambda truth: truth.with_regrets([0.0] * len(truth.means)),
    "harmed": lambda truth: truth.with_regrets([EFFECT] + [0.0] * (len(truth.means) - 1)),
    "long": lambda truth: truth.with_regrets([0.0] * (len(truth.means) - 1) + [EFFECT]),
    "measured": lambda truth: truth,
}
"""True cells by name, from what was measured."""


if __name__ == "__main__":
    main()
