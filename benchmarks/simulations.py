"""Page of simulations: what the statistics promise, counted on planted studies, the code of 0.1.0 against this one.

.venv/bin/python benchmarks/simulations.py [--studies 2000] [--mixed 400] [--only TEXT] [--page FILE]

Studies with known truth (tests/known_truth) go through the functions that the rules call; docs/simulations.md is what
comes out. The old numbers are those of commit 87f2430 on the same drawn studies, or the issue's where they say so; they
stand in benchmarks/simulations_before.json. What was counted is kept in benchmarks/simulations_counted.json with a
digest of the code behind it, so that only what has changed is counted again; the page says which commit counted what.
`make simulations` does all this.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "workflow_scripts"), str(REPOSITORY / "tests")]

from known_truth import counted, promises, worlds  # noqa: E402  (the packages are found through the line above)
from known_truth.counted import Group, Store  # noqa: E402
from known_truth.promises import Tally  # noqa: E402
from known_truth.simulation import Design  # noqa: E402

COUNTED = REPOSITORY / "benchmarks" / "simulations_counted.json"

Found = dict[tuple[str, int, str], Tally]
"""(world, seeds, question) -> what was counted."""

TABLES: list[tuple[str, str, list[str]]] = [
    (
        "A warmup is called demonstrated that costs a margin or more",
        "The boundary itself: arms exactly one margin worse than the best count as wrongly demonstrated.",
        ["demonstrated an arm a margin or more worse"],
    ),
    (
        "No warmup is excluded although it costs no more than the margin",
        "Judged as a warmup declared beforehand.",
        ["excluded no warmup within the margin"],
    ),
    (
        "Some warmup within the margin is left out of the set of those not excluded",
        "All warmups of the cell together; and the lower limits of all regrets, on which the set rests.",
        ["excluded an arm within the margin", "limits of all pairs: a regret below its lower limit"],
    ),
    (
        "A regret is larger than its upper limit",
        "All warmups of the cell together; and for the one that is recommended, though it was picked for its limit.",
        [
            "a regret above its upper limit",
            "recommended one that costs more than its limit",
            f"a regret above its upper limit, {promises.UNSEEN}",
        ],
    ),
    (
        "The limits of one difference miss it",
        "Paired difference of two warmups. Below five seeds none is told where a run of either diverged.",
        [
            "one difference outside its limits",
            "two warmups one margin apart called equivalent",
            f"one difference outside its limits, {promises.UNSEEN}",
        ],
    ),
    (
        "The optimum of a curve with one valley lies outside its limits",
        "Old: the quadratic's interval, where one was given. Below: how often the limits are narrower than the grid.",
        ["optimum outside its limits", "optimum narrowed down"],
    ),
    (
        "The advantage of the chosen warmup lies outside its limits",
        "Over all studies in which one is given (below five seeds not where all halves agreed); over those in which a "
        "half chose another than no warmup; and, not promised, over those in which all halves agreed.",
        [
            "an advantage is given",
            "advantage outside its limits",
            "advantage outside its limits, another than the reference chosen",
            "advantage outside its limits, all halves agreed",
        ],
    ),
    (
        "What is gained",
        "How often a warmup is demonstrated and no warmup, truly worse, excluded; what the recommended costs at most.",
        ["some warmup demonstrated", "no warmup excluded", "upper limit of the recommended (margins)"],
    ),
    (
        "Twelve cells together",
        "A false statement anywhere in a study of four architectures and three tasks.",
        [
            "no warmup falsely excluded in some cell, each at its own level",
            "no warmup falsely excluded in some cell, corrected over cells",
            "a false advantage in some cell",
            "a false difference in the study's family of comparisons (Holm)",
        ],
    ),
    (
        "Width and seeds",
        "Mean upper limit of regret over seven equal warmups, in sd of one arm, as seeds are added.",
        ["mean upper limit of regret (sd)"],
    ),
    (
        "Seeds named by the power table",
        "No warmup truly costs two margins, all others are as good as the best; how often it is shown to cost more "
        "than one at the seeds named for a chance of 0.8, which reckon with the best alone. Those of the old table "
        "found a true cost of one margin, which was its question, in 1 to 2 % (the audit's number).",
        ["no warmup excluded at the seeds named"],
    ),
    (
        "Mixed model",
        "Four architectures, three tasks, three seeds, four warmups; p at most 0.05. Size where nothing is planted, "
        "power elsewhere.",
        list(promises.MIXED_QUESTIONS),
    ),
]


CELLS = counted.digest(["optima", "comparisons"], ["simulation", "worlds", "promises"])
"""Digest of the code behind everything but the mixed model."""
MIXED = counted.digest(["mixed_model"], ["simulation", "worlds", "promises"])


def groups(studies: int, mixed: int) -> list[Group]:
    """Everything that the page shows, in its order."""
    found = []
    for seeds in worlds.SEEDS:
        for index, world in enumerate(worlds.cell_worlds(seeds)):
            found.append(
                Group(f"one cell, {seeds} seeds", world.name, CELLS, studies, partial(_cell, world, seeds, index))
            )
        for index, world in enumerate(worlds.study_worlds(seeds)):
            kind = f"twelve cells, {seeds} seeds"
            found.append(Group(kind, world.name, CELLS, studies, partial(_study, world, seeds, index)))
    for name, grid in (("four", worlds.LAPTOP), ("seven", worlds.GRID)):
        found.append(Group("seeds named", f"{name} warmups", CELLS, studies, partial(_named, name, grid)))
    found += [Group("width", f"{seeds} seeds", CELLS, studies // 4, partial(_width, seeds)) for seeds in range(2, 11)]
    for name, design in worlds.mixed_worlds().items():
        found.append(Group("mixed model", name, MIXED, mixed, partial(_mixed, name, design)))
    return found


def _rows(world: str, seeds: int, found: Mapping[str, Tally]) -> counted.Rows:
    return [{"world": world, "seeds": seeds, **asdict(tally), "what": what} for what, tally in found.items()]


def _cell(world: worlds.World, seeds: int, index: int, studies: int) -> counted.Rows:
    found = promises.of_a_cell(world.design, 1.0, studies, 1000 + index, world.valley)
    return _rows(world.name, seeds, found)


def _study(world: worlds.World, seeds: int, index: int, studies: int) -> counted.Rows:
    return _rows(f"study: {world.name}", seeds, promises.of_a_study(world.design, 1.0, studies, 2000 + index))


def _named(name: str, grid: tuple[float, ...], studies: int) -> counted.Rows:
    seeds, tally = promises.of_the_seeds_named(grid, worlds.NOISE, studies)
    where = f"{name} warmups, no warmup two margins worse"
    return _rows(where, seeds, {"no warmup excluded at the seeds named": tally})


def _width(seeds: int, studies: int) -> counted.Rows:
    tally = promises.of_the_width(seeds, studies)
    return _rows("null, seven warmups", seeds, {"mean upper limit of regret (sd)": tally})


def _mixed(name: str, design: Design, studies: int) -> counted.Rows:
    return _rows(name, 3, promises.of_the_mixed_model(design, studies))


def page(found: Found, before: Mapping[str, list], origin: str) -> str:
    """The page as Markdown; `origin`: which commit counted what."""
    parts = [HEAD.format(allowed=promises.ALLOWED, origin=origin)]
    kept = [tally.kept for tally in found.values() if tally.kind == "false"]
    parts.append(f"{sum(kept)} of {len(kept)} promised rates are kept; the others are bold and listed at the end.\n")
    for title, text, questions in TABLES:
        parts.append(f"## {title}\n{text}\n")
        parts += [_table(question, found, before) for question in questions]
    parts.append("## Not kept\n" + "\n".join(_broken(found)) + "\n")
    return "\n".join(parts)


def _table(question: str, found: Found, before: Mapping[str, list]) -> str:
    here = {(world, seeds): tally for (world, seeds, what), tally in found.items() if what == question}
    names = list(dict.fromkeys(world for world, _ in here))
    columns = sorted({seeds for _, seeds in here})
    promised = any(tally.kind == "false" for tally in here.values())
    lines = [f"*{question[0].upper()}{question[1:]}*{', promised in at most 0.05' if promised else ''}\n"]
    lines.append("| | " + " | ".join(f"{seeds} seeds" for seeds in columns) + " |\n|" + "---|" * (1 + len(columns)))
    for name in names:
        shown = [_shown(here.get((name, seeds)), before.get(f"{name}|{seeds}|{question}")) for seeds in columns]
        lines.append(f"| {name.removeprefix('study: ')} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def _shown(tally: Tally | None, old: list | None) -> str:
    if tally is None:
        return ""
    digits = 2 if tally.kind == "mean" else 3
    new = f"{tally.share:.{digits}f}"
    if tally.kind == "false":
        new += f" (≤ {tally.upper:.3f})"
        new = new if tally.kept else f"**{new}**"
    elif tally.kind == "found":
        new += f" ± {tally.error:.3f}"
    return f"{old[1]:.{digits}f} → {new}" if old else new


def _broken(found: Found) -> Iterator[str]:
    for (world, seeds, what), tally in found.items():
        if not tally.kept:
            yield f"- {world.removeprefix('study: ')}, {seeds} seeds: {what}, {tally.share:.3f} (≤ {tally.upper:.3f})"


HEAD = """# Simulations: what the statistics promise, and whether they keep it
Written by `make simulations`; do not edit. How the statistics work: [statistics](statistics.md).

Every number is a share of planted studies, old code → this code, seeds fixed beforehand. *Old* is commit 87f2430 on
the same drawn studies (1,000 of them a cell; 500 for twelve cells and widths, 400 for the mixed model). In brackets
stands the upper 95 % limit of a false rate; a promise of 0.05 counts as kept where that is at most {allowed:g}, and is
**bold** where not. A true rate of exactly 0.05 misses that by chance
in two of five: 0.052 in bold says that 2,000 studies did not show it, 0.1 that the promise is broken. ± is the
Monte-Carlo error of a share that is no promise.

The unit is the practical margin. Noise around the arms, once the seed's own part is taken out, is 0.6 margins (0.2
where the noise is said to be little, 0.3 where every other warmup is worse, 0.1 there with a warmup ten times as
noisy). Four warmups below five seeds (the laptop's), seven from there (the published ones). Four architectures lend
each other the shape of their errors; the first of them is looked at. Curves with one valley are lowest at 3.3 %,
between two warmups.

This code, as it was when the rows were counted:

{origin}
"""


def main() -> None:
    """Count, print each number, and write the page if asked."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--studies", type=int, default=2000)
    arguments.add_argument("--mixed", type=int, default=400, help="studies for each row of the mixed model")
    arguments.add_argument("--page", type=Path, help="write the page here")
    arguments.add_argument("--only", default="", help="count only groups whose name holds this text")
    chosen = arguments.parse_args()
    store, known = Store(COUNTED), groups(chosen.studies, chosen.mixed)
    for group in known:
        if chosen.only in group.name and not store.current(group):
            start = time.monotonic()
            store.count(group)
            print(f"{group.name}: {time.monotonic() - start:.0f} s", flush=True)
    found: Found = {}
    for row in store.rows(known):
        where = (row.pop("world"), row.pop("seeds"))
        found[(*where, row["what"])] = tally = Tally(**row)
        mark = "    " if tally.kept else "FAIL"
        print(f"{mark} {tally.share:.3f} {where[0]}, {where[1]} seeds: {tally.what}")
    if chosen.page:
        before = json.loads((REPOSITORY / "benchmarks" / "simulations_before.json").read_text())
        chosen.page.write_text(page(found, before, store.origin(known)))


if __name__ == "__main__":
    main()
