"""Page of simulations of claims, leaderboard, predictions, correlation and rates, the code of 0.1.0 against this one.

.venv/bin/python benchmarks/simulations_answers.py [--studies 2000] [--only TEXT] [--page FILE]

Studies with known truth (tests/known_truth) go through the functions that the rules call. The old numbers are those of
commit 87f2430 on the same drawn studies, in benchmarks/simulations_answers_before.json. What was counted is kept in
benchmarks/simulations_answers_counted.json with a digest of the code behind it, so that only what has changed is
counted again; the page says which commit counted what.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "workflow_scripts"), str(REPOSITORY / "tests")]

from known_truth import board_checks, claim_checks, correlation_checks, counted, rate_checks  # noqa: E402
from known_truth.counted import Group, Store  # noqa: E402
from known_truth.shares import ALLOWED, Share  # noqa: E402

COUNTED = REPOSITORY / "benchmarks" / "simulations_answers_counted.json"
BEFORE = REPOSITORY / "benchmarks" / "simulations_answers_before.json"
HEAD = """# Simulations of claims, predictions, correlation and rates
Written by `make simulations`; do not edit. Those of plateaus, comparisons and the mixed model are in
simulations.md.

Every number is the share of planted studies (or of their cells) in which what is said is wrong: old code → this code.
*Old* is commit 87f2430 on the first 400 of the same drawn studies (200 for intervals of predictions), or a dash where
it said nothing of the kind or was not counted. Seeds are fixed beforehand. In brackets stands the upper 95 % limit; a
promise counts as kept where that is at most {allowed:g} above the promised rate, and is **bold** where not. Rows of
power are shares in which a planted truth is found. Critical values of `rates` come from 5,000 draws here, 40,000 in a
study; the limits behind them are those of simulations.md.

This code, as it was when the rows were counted:

{origin}
"""


KINDS: dict[str, tuple[Callable[[int, int], list[Share]], list[str], list[str]]] = {
    "claims": (claim_checks.checks, ["optima", "claims"], ["claim_checks", "simulation", "shares"]),
    "board": (board_checks.checks, ["leaderboard"], ["board_checks", "trained_tables", "shares"]),
    "intervals": (board_checks.interval_checks, ["predict"], ["board_checks", "trained_tables", "shares"]),
    "correlation": (correlation_checks.checks, ["correlation"], ["correlation_checks", "trained_tables", "shares"]),
    "correlation at the size of `families`": (
        partial(correlation_checks.checks, architectures=19),
        ["correlation"],
        ["correlation_checks", "trained_tables", "shares"],
    ),
    "rates": (rate_checks.checks, ["rates"], ["rate_checks", "shares"]),
}
"""What is counted: the function, the rules' scripts behind it, the modules that draw its studies."""
SEEDS = (2, 5)


def groups(studies: int) -> list[Group]:
    """Everything that the page shows, in its order."""
    return [
        Group(
            kind=kind,
            what=f"{seeds} seeds",
            code=counted.digest(scripts, drawing),
            studies=studies,
            count=lambda studies, checks=checks, seeds=seeds: [asdict(row) for row in checks(seeds, studies)],
        )
        for kind, (checks, scripts, drawing) in KINDS.items()
        for seeds in SEEDS
    ]


def page(rows: list[Share], before: dict[str, list[Any]], origin: str) -> str:
    """The page as Markdown: a table for each statistic; `origin`: which commit counted what."""
    parts = [HEAD.format(allowed=ALLOWED, origin=origin)]
    for statistic in dict.fromkeys(row.statistic for row in rows):
        here = [row for row in rows if row.statistic == statistic]
        promised = "" if here[0].kind == "power" else f" (promised: wrong in at most {here[0].promised:.2g})"
        parts.append(f"## {statistic[0].upper()}{statistic[1:]}{promised}\n")
        parts.append("| | old → new | studies |\n|---|---|---|")
        parts += [
            f"| {row.design} | {_shown(row, before.get(f'{statistic}|{row.design}'))} | {row.count:,} |" for row in here
        ]
        parts.append("")
    return "\n".join(parts)


def _shown(row: Share, old: list[Any] | None) -> str:
    if row.kind == "power":
        return f"{'–' if old is None else f'{old[0]:.3f}'} → {row.share:.3f} (power)"
    new = f"{row.false_rate:.3f} (≤ {row.upper:.3f})"
    was = "–" if old is None else f"{1.0 - old[0] if row.kind == 'coverage' else old[0]:.3f}"
    return f"{was} → {new if row.kept else f'**{new}**'}"


def main() -> None:
    """Count, print each row, and write what was asked."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--studies", type=int, default=2000)
    arguments.add_argument("--only", default="", help="count only groups whose name holds this text")
    arguments.add_argument("--page", type=Path, help="write the page here")
    chosen = arguments.parse_args()
    store, known = Store(COUNTED), groups(chosen.studies)
    for group in known:
        if chosen.only in group.name and not store.current(group):
            store.count(group)
    rows = [Share(**row) for row in store.rows(known)]
    for row in rows:
        print(f"{'    ' if row.kept else 'FAIL'} {row.share:.3f} {row.statistic}: {row.design}")
    if chosen.page:
        chosen.page.write_text(page(rows, json.loads(BEFORE.read_text()), store.origin(known)))


if __name__ == "__main__":
    main()
