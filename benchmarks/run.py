"""One table: how this workflow's time compares with its peers' and with the machine's floor.

.venv/bin/python benchmarks/run.py [case ...] [--threads 2] [--rounds 7] [--json FILE] [--into docs/performance.md]

Cases are the modules benchmarks/case_<name>.py (see measure.py); each runs in a process of its own, its contenders by
turns. A ratio is the median over rounds, with the smallest and the largest.
"""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[0] = str(HERE.parent)  # instead of this folder, whose file names are not those of libraries

from benchmarks.measure import Machine, Row  # noqa: E402  (found through the line above)

MARKS = ("<!-- table: benchmarks/run.py -->", "<!-- end of table -->")
HEADER = ("case", "ours", "peer", "ratio", "range", "goal", "")


def names() -> list[str]:
    """Cases, by listing files."""
    return sorted(file.stem.removeprefix("case_") for file in HERE.glob("case_*.py"))


def rows_of(case: str, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Rows of one case, measured in a process of its own."""
    command = [sys.executable, __file__, case, "--threads", str(threads), "--rounds", str(rounds), "--here"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line.removeprefix("row ")) for line in output.splitlines() if line.startswith("row ")]


def here(case: str, machine: Machine) -> None:
    """Measures a case in this process and prints its rows as JSON."""
    module = importlib.import_module(f"benchmarks.case_{case}")
    for row in module.rows(machine):
        if not isinstance(row, Row):
            raise TypeError(f"case {case}: rows() must yield Row, not {type(row).__name__}")
        print("row " + json.dumps(row.as_dict()), flush=True)


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row as text."""
    digits = 1 if row["ratio"] >= 10 else 2 if row["ratio"] >= 0.1 else 4
    ratio = f"{row['ratio']:.{digits}f}"
    span = f"{row['smallest']:.{digits}f} to {row['largest']:.{digits}f}"
    goal = "" if row["goal"] is None else f"{'≤' if row['slower'] else '≥'} {row['goal']:g}"
    verdict = {None: "", True: "met", False: "missed"}[row["met"]]
    return row["case"], row["ours"], row["peer"], ratio, span, goal, verdict


def table(rows: list[dict[str, Any]]) -> str:
    """All rows, as a Markdown table that is also legible as text."""
    lines = [HEADER, *map(cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    return "\n".join([texts[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *texts[1:]])


def processor() -> str:
    """The machine's processor, as the system names it."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{named or platform.machine()}, {os.cpu_count()} cores"


def with_table(document: str, text: str) -> str:
    """The document with `text` between its marks."""
    before, _, rest = document.partition(MARKS[0])
    _, found, after = rest.partition(MARKS[1])
    if not found:
        raise ValueError(f"the document has no place for the table: {MARKS[0]} and, after it, {MARKS[1]}")
    return f"{before}{MARKS[0]}\n{text}{MARKS[1]}{after}"


def main() -> None:
    """Runs the chosen cases and prints the table; exit code 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(names())} (default: all)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write the rows here")
    parser.add_argument("--into", type=Path, help="put the table into this document, between its two marks")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    unknown = set(chosen.cases) - set(names())
    if unknown:
        parser.error(f"unknown cases: {', '.join(sorted(unknown))}; known are {', '.join(names())}")
    if chosen.here:
        here(chosen.cases[0], Machine(chosen.threads, chosen.rounds))
        return
    rows: list[dict[str, Any]] = []
    for case in chosen.cases or names():
        print(f"measuring {case} ...", file=sys.stderr, flush=True)
        rows += rows_of(case, chosen.threads, chosen.rounds)
    text = f"{table(rows)}\n\n{chosen.threads} threads; {processor()}; load {os.getloadavg()[1]:.1f} at the end.\n"
    print(text)
    if chosen.into:
        chosen.into.write_text(with_table(chosen.into.read_text(), text))
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n")
    sys.exit(any(row["met"] is False for row in rows))


if __name__ == "__main__":
    main()
