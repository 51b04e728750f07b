"""The report of a study in which something failed: what exists is shown, and a missing page says why it is missing.

In: Snakemake's own summary of files. Out: the report, and on the screen what failed. `make` calls it when Snakemake,
told to keep going, ends with an error: python -m warmup.plots.unfinished REPORT [options]. Snakemake refuses a
report with a page missing, so a page that says what is wrong stands there for as long as the report is written.
"""

import html
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="900" height="60"><text x="10" y="35" font-family="sans-serif" '
    'font-size="14">{text}</text></svg>\n'
)
PAGE = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Missing</title></head>'
    "<body><p>{text}</p></body></html>\n"
)
FORMS = {".svg": SVG, ".html": PAGE, ".rst": "{text}\n"}
"""What is written in the place of a missing file of the report, by its ending."""

ERROR = "error: "
"""How a job's log says what a person can mend (warmup.job)."""


class Missing(NamedTuple):
    """A file that a rule should have made."""

    path: Path
    rule: str


def missing(summary: str) -> list[Missing]:
    """The missing files of `snakemake --summary`, which has a line of tab-separated columns for each output."""
    lines = [line.split("\t") for line in summary.splitlines()]
    start = next((number for number, line in enumerate(lines) if line[0] == "output_file"), None)
    if start is None:
        return []
    rows = [dict(zip(lines[start], line, strict=True)) for line in lines[start + 1 :] if len(line) == len(lines[start])]
    return [Missing(Path(row["output_file"]), row["rule"]) for row in rows if row["status"] == "missing"]


def causes(absent: Sequence[Missing], logs: Path) -> list[str]:
    """One sentence for each rule that failed itself: how many of its jobs, and what the first of them said."""
    reasons = []
    for rule in dict.fromkeys(file.rule for file in absent):
        found = {log: complaint(log.read_text(errors="replace")) for log in sorted(logs.glob(f"{rule}/**/*.log"))}
        failed = [(log, words) for log, words in found.items() if words]
        if failed:
            log, words = failed[0]
            jobs = f" ({len(failed)} of its jobs)" if len(failed) > 1 else ""
            reasons.append(f"rule {rule} failed{jobs}: {words} ({log})")
    return reasons


def complaint(log: str) -> str:
    """What a job's log says went wrong: its own error, else the last line of a traceback, else nothing."""
    for line in log.splitlines():
        _, found, words = line.partition(ERROR)
        if found:
            return words.strip()
    return log.rstrip().splitlines()[-1].strip() if "Traceback (most recent call last)" in log else ""


def stand_ins(absent: Sequence[Missing], reasons: Sequence[str]) -> dict[Path, str]:
    """Text for each missing file that the report shows, by path."""
    pages = {}
    for file in absent:
        form = FORMS.get(file.path.suffix)
        if form is not None:
            own = [reason for reason in reasons if reason.startswith(f"rule {file.rule} ")]
            why = "; ".join(own or reasons) or "no log says why; Snakemake may have been stopped before its turn came"
            text = f"This part could not be made: {why}."
            pages[file.path] = form.format(text=text if file.path.suffix == ".rst" else html.escape(text))
    return pages


def main(report: Path, options: Sequence[str]) -> int:
    """Write `report` from what exists and name what failed; 1 if not even that was possible, else 0.

    The rules' logs lie beside the report, in `logs`.
    """
    snakemake = [str(Path(sys.executable).with_name("snakemake")), "--cores", "1", *options]
    told = subprocess.run([*snakemake, "--summary"], capture_output=True, text=True, check=False)
    absent = missing(told.stdout)
    if told.returncode != 0 or not absent:
        return 1  # nothing was planned, or all was made: what Snakemake said before stands
    reasons = causes(absent, report.parent / "logs")
    pages = stand_ins(absent, reasons)
    try:
        for path, text in pages.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        made = subprocess.run([*snakemake, "--report", str(report)], capture_output=True, text=True, check=False)
    finally:
        for path in pages:
            path.unlink(missing_ok=True)
    lines = [f"{len(absent)} files of this study could not be made:", *(f"  - {reason}" for reason in reasons)]
    if made.returncode != 0:
        lines.append(made.stdout + made.stderr)
    print("\n".join(lines), file=sys.stderr)
    return 0 if made.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
