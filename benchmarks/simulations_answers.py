"""Page of simulations of claims, leaderboard, predictions, correlation and rates, the code of 0.1.0 against this one.

.venv/bin/python benchmarks/simulations_answers.py [--studies 2000] [--seeds 2 5] [--rows ROWS.json] [--page FILE]

Studies with known truth (tests/known_truth) go through the functions that the rules call. The old numbers are those of
commit 87f2430 on the same drawn studies, in benchmarks/simulations_answers_before.json. `--rows` writes what was
counted; with `--studies 0` the page is made of the rows in that file.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "workflow_scripts"), str(REPOSITORY / "tests")]

from known_truth import board_checks, claim_checks, correlation_checks, rate_checks  # noqa: E402
from known_truth.shares import ALLOWED, Share  # noqa: E402

BEFORE = REPOSITORY / "benchmarks" / "simulations_answers_before.json"
HEAD = """# Simulations of claims, predictions, correlation and rates
Written by `benchmarks/simulations_answers.py`; do not edit. Those of plateaus, comparisons and the mixed model are in
simulations.md.

Every number is the share of planted studies (or of their cells) in which what is said is wrong: old code → this code.
*Old* is commit 87f2430 on the first 400 of the same drawn studies (200 for intervals of predictions), or a dash where
it said nothing of the kind or was not counted. Seeds are fixed beforehand. In brackets stands the upper 95 % limit; a
promise counts as kept where that is at most {allowed:g} above the promised rate, and is **bold** where not. Rows of
power are shares in which a planted truth is found. Rates are slow to count: 120 trials cannot show that a promise of
0.05 is kept, so that such rows are bold unless nothing was wrong; their limits are those of simulations.md.
"""


def count(seeds: list[int], studies: int) -> Iterator[Share]:
    """Every row of the page; the rates, which are slow, with fewer studies."""
    for n in seeds:
        yield from claim_checks.checks(n, studies)
        yield from board_checks.checks(n, studies)
        yield from board_checks.interval_checks(n, studies)
        yield from correlation_checks.checks(n, studies)
        yield from rate_checks.checks(n, min(studies, 600))


def page(rows: list[Share], before: dict[str, list[Any]]) -> str:
    """The page as Markdown: a table for each statistic."""
    parts = [HEAD.format(allowed=ALLOWED)]
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
    arguments.add_argument("--seeds", type=int, nargs="+", default=[2, 5])
    arguments.add_argument("--rows", type=Path, help="what was counted, as JSON")
    arguments.add_argument("--page", type=Path, help="write the page here")
    chosen = arguments.parse_args()
    if chosen.studies:
        rows = []
        for row in count(chosen.seeds, chosen.studies):
            rows.append(row)
            print(f"{'    ' if row.kept else 'FAIL'} {row.share:.3f} {row.statistic}: {row.design}", flush=True)
        if chosen.rows:
            chosen.rows.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    else:
        rows = [Share(**row) for row in json.loads(chosen.rows.read_text())]
    if chosen.page:
        chosen.page.write_text(page(rows, json.loads(BEFORE.read_text())))


if __name__ == "__main__":
    main()
