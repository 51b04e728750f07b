"""Simulation table: coverage and size of every interval and test at the sizes studies have.

.venv/bin/python benchmarks/coverage.py [--studies 600] [--mixed 200] [--seeds 2 3 5 10] [--json FILE] [--markdown FILE]

Synthetic studies with known truth (tests/known_truth/simulation.py): paired by seed with intra-class correlation 0.5, 2
to 10 seeds, 4 and 12 architectures, null and planted, and with what trainings do: one architecture three times as noisy
(and that one is looked at), no warmup three times as noisy, both, skewed and heavy-tailed noise. A row that fails is
marked; what fails at a design's own size the workflow reports as "cannot say", or docs/statistics.md names it.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import polars

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "workflow_scripts"), str(REPOSITORY / "tests")]

from known_truth import checks  # noqa: E402
from known_truth.simulation import GRID, Design, planted_optimum  # noqa: E402

from warmup.statistics.base import intervals  # noqa: E402  (the package is found through the line above)

LAPTOP = (0.0, 0.02, 0.1, 0.3)
SEEDS = (2, 3, 5, 10)
NOISY_CELL = 3.0


def grid(seeds: int) -> tuple[float, ...]:
    """The laptop's four warmups below five seeds, the published seven from there."""
    return LAPTOP if seeds < 5 else GRID


def designs(seeds: int, architectures: int) -> Iterator[tuple[str, Design]]:
    """The worlds that every interval is held against, by name."""
    warmups = grid(seeds)
    name = f"{seeds} seeds, {architectures} architectures, {len(warmups)} warmups"
    plain = {"seeds": seeds, "architectures": architectures, "warmups": warmups}
    noisy_cell = [NOISY_CELL] + [1.0] * (architectures - 1)
    noisy_arm = [NOISY_CELL] + [1.0] * (len(warmups) - 1)
    planted = planted_optimum(warmups, 0.05, 0.1)
    yield f"{name}: null", Design(**plain)
    yield f"{name}: planted", Design(**plain, regret=planted)
    yield f"{name}: one architecture x3 as noisy", Design(**plain, regret=planted, cell_spread=noisy_cell)
    yield f"{name}: no warmup x3 as noisy", Design(**plain, regret=planted, arm_spread=noisy_arm)
    yield f"{name}: both", Design(**plain, regret=planted, arm_spread=noisy_arm, cell_spread=noisy_cell)
    yield f"{name}: skewed noise", Design(**plain, regret=planted, noise="skewed")
    yield f"{name}: heavy tails", Design(**plain, regret=planted, noise="heavy")


def plain_intervals(studies: int) -> Iterator[checks.Check]:
    """Intervals of plain samples: t, Wilson."""
    for n in SEEDS:
        for noise, sample, truth in (
            ("normal", lambda g, n=n: g.standard_normal(n), 0.0),
            ("skewed", lambda g, n=n: g.standard_exponential(n), 1.0),
        ):
            yield checks.interval_coverage(
                "paired t", intervals.paired_t, sample, truth, f"{n} values, {noise}", studies
            )
    for n in (3, 10, 40):
        for share in (0.1, 0.3):
            yield checks.interval_coverage(
                "Wilson",
                lambda k, n=n: intervals.wilson(int(k), n),
                lambda g, n=n, share=share: g.binomial(n, share),
                share,
                f"{n} runs, rate {share}",
                studies,
            )


def all_checks(studies: int, mixed: int, sizes: tuple[int, ...]) -> Iterator[checks.Check]:
    """Every row of the table for studies of `sizes` seeds; `mixed` studies for the mixed model, which is slow."""
    for seeds, architectures in itertools.product(sizes, (4, 12)):
        for name, design in designs(seeds, architectures):
            yield from checks.cell_checks(design, name, studies, valley=0.05 if design.regrets.any() else None)
            if not design.regrets.any():
                yield checks.power_check(design, name, studies)
                yield checks.family_check(design, name, max(100, studies // 4))
    for seeds, world in itertools.product(
        [size for size in sizes if size >= 3 and mixed],
        ("null", "one architecture x3 as noisy", "no warmup x3 as noisy"),
    ):
        warmups = grid(seeds)
        design = Design(
            seeds=seeds,
            architectures=4,
            tasks=3,
            warmups=warmups,
            cell_spread=[NOISY_CELL] * 3 + [1.0] * 9 if "architecture" in world else (),
            arm_spread=[NOISY_CELL] + [1.0] * (len(warmups) - 1) if "warmup" in world else (),
        )
        for grouping in ("world", "seed") if world == "null" else ("world",):
            name = f"{seeds} seeds, 4 architectures, 3 tasks, {len(warmups)} warmups: {world}"
            yield from checks.mixed_model_checks(design, name, mixed, grouping)


def main() -> None:
    """Print the table; failures first, then by statistic."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--studies", type=int, default=600)
    arguments.add_argument("--mixed", type=int, default=200, help="studies for the mixed model (0: leave it out)")
    arguments.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="sizes of the studies")
    arguments.add_argument("--json", type=Path)
    arguments.add_argument("--markdown", type=Path)
    chosen = arguments.parse_args()
    found = []
    plain = plain_intervals(4 * chosen.studies) if chosen.seeds == list(SEEDS) else iter(())
    for check in itertools.chain(plain, all_checks(chosen.studies, chosen.mixed, tuple(chosen.seeds))):
        found.append(check)
        promised = f"{check.kind} {check.nominal:g}, +- {check.error:.3f}"
        verdict = "ok  " if check.passes else "FAIL"
        print(f"{verdict} {check.share:.3f} ({promised})  {check.statistic}: {check.design}", flush=True)
    table = checks.table(found)
    print(f"{int(table['passes'].sum())} of {table.height} pass")
    if chosen.json:
        chosen.json.write_text(json.dumps(table.to_dicts(), indent=1) + "\n")
    if chosen.markdown:
        chosen.markdown.write_text(markdown(table))


WORLDS = (
    "null",
    "planted",
    "one architecture x3 as noisy",
    "no warmup x3 as noisy",
    "both",
    "skewed noise",
    "heavy tails",
)


def markdown(table: polars.DataFrame) -> str:
    """Tables for docs/statistics.md: for each statistic a row per size and a column per world; failures are bold."""
    parts = []
    for part in table.partition_by("statistic", "kind", maintain_order=True):
        rows: dict[str, dict[str, str]] = {}
        for row in part.iter_rows(named=True):
            size, _, world = row["design"].partition(": ")
            world, _, group = world.partition(", 1 | ")
            shown = f"{row['share']:.3f}" if row["passes"] else f"**{row['share']:.3f}**"
            rows.setdefault(size + (f", group = {group}" if group else ""), {})[world] = shown
        known = [world for world in WORLDS if any(world in cells for cells in rows.values())]
        promised = {"coverage": "at least", "size": "at most", "power": ""}[part["kind"][0]]
        parts.append(f"**{part['statistic'][0]}**: {part['kind'][0]}, promised {promised} {part['nominal'][0]:.2g}\n")
        parts.append("| | " + " | ".join(known or ["found"]) + " |\n|" + "---|" * (1 + len(known or [""])))
        for size, cells in rows.items():
            parts.append(f"| {size} | " + " | ".join(cells.get(world, "") for world in known or [""]) + " |")
        parts.append("")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
