"""Why would anything run again, and what would it cost: a plan of Snakemake's, one sentence per job.

`main` has Snakemake plan (`--dry-run`, through the logger plugin beside this package) and explains each job: settings
and code that differ between the record in .snakemake and now, files that are missing, inputs that are newer; and the
hours it takes, from the same job's last time, else from the median of its like. Changes nothing.
"""

import ast
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from warmup.provenance.differences import differences, listed

PLUGINS = Path(__file__).resolve().parents[2] / "snakemake_plugins"

PARAMETERS = "Params have changed since last execution: "
BEFORE, NOW = "before: ", " now: "
UNION = "Union of exclusive params before and now across all output: "
NOTHING_EXCLUSIVE = "<nothing exclusive>"

LAST_LINES = 10
"""Lines shown of what Snakemake says when it cannot plan."""

PLAIN_WORDS = {
    "Updated input files: ": "input changed: ",
    "Input files updated by another job: ": "follows from: ",
    "Incomplete output files: ": "was interrupted: ",
    "Set of input files has changed since last execution": "its set of inputs changed (runs added or removed)",
    "Code has changed since last execution": "the script's file is newer than its results",
    "Software environment definition has changed since last execution": "its conda environment changed",
    "Forced execution": "forced on the command line",
}
"""How Snakemake words a reason, and how it is told here."""

MISSING = "Missing output files: "

NEW = "new: never made, or deleted"

MOST_FILES = 3
"""Files named in one reason."""


@dataclass(frozen=True)
class Job:
    """A job that Snakemake would run."""

    rule: str
    wildcards: Mapping[str, str]
    reason: str
    output: Sequence[str]
    benchmark: str | None

    def name(self) -> str:
        """`train architecture=gpt2 task=language recipe=adamw warmup=0.05 seed=3`."""
        return " ".join([self.rule, *(f"{axis}={value}" for axis, value in self.wildcards.items())])


@dataclass(frozen=True)
class Plan:
    jobs: list[Job]
    warnings: list[str]


class PlanningError(Exception):
    """Snakemake could not plan; the message is its own."""


def main(arguments: Sequence[str]) -> int:
    """Explain the plan for these options of Snakemake on standard output; 1 if there is no plan."""
    try:
        plan = planned(arguments)
    except PlanningError as error:
        print(error, file=sys.stderr)
        return 1
    for line in report(plan, hours_of):
        print(line)
    return 0


def planned(arguments: Sequence[str]) -> Plan:
    """What `snakemake --dry-run` with these further options would do in the current folder."""
    with tempfile.TemporaryDirectory() as temporary:
        written = Path(temporary) / "plan.jsonl"
        logger = ["--logger", "plan", "--logger-plan-path", str(written)]
        command = [sys.executable, "-m", "snakemake", "--dry-run", *logger, *arguments]
        paths = [str(PLUGINS), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        lines = [json.loads(line) for line in written.read_text().splitlines()] if written.exists() else []
    errors = [line["error"] for line in lines if "error" in line]
    if done.returncode != 0 or errors:
        last_words = (done.stderr or done.stdout).strip().splitlines()[-LAST_LINES:]
        raise PlanningError("\n".join(errors or last_words))
    jobs = [Job(**line) for line in lines if "rule" in line and line["output"]]
    return Plan(jobs, [line["warning"] for line in lines if "warning" in line])


def report(plan: Plan, hours: Callable[[Job], float | None]) -> Iterator[str]:
    """The lines shown: warnings, one line per job in the order of the plan, the sum per rule."""
    for warning in plan.warnings:
        yield f"warning: {warning}"
    if not plan.jobs:
        yield "nothing to run: every result is up to date"
        return
    costs: dict[str, list[float | None]] = {}
    for job in plan.jobs:
        cost = hours(job)
        costs.setdefault(job.rule, []).append(cost)
        yield f"{job.name()}: {'; '.join(causes(job))} [{duration(cost)}]"
    yield ""
    for rule, spent in costs.items():
        yield f"{rule}: {_sum(spent)}"
    yield f"in all: {_sum([cost for spent in costs.values() for cost in spent])} of one worker"


def _sum(costs: Sequence[float | None]) -> str:
    known = [cost for cost in costs if cost is not None]
    missing = len(costs) - len(known)
    unknown = f" and {missing} without estimate" if known and missing else ""
    return f"{len(costs)} job(s), {duration(sum(known) if known else None)}{unknown}"


def causes(job: Job) -> list[str]:
    """Why a job would run, in words."""
    found: list[str] = []
    for part in _parts(job.reason):
        if part.startswith(PARAMETERS):
            found += _changed_settings(part.removeprefix(PARAMETERS))
        elif part.startswith(MISSING):
            found.append(_missing(job))
        else:
            found.append(_plain(part))
    return [NEW] if NEW in found else found or ["requested"]


def duration(hours: float | None) -> str:
    """Hours in a form that keeps small ones readable."""
    if hours is None:
        return "no estimate"
    if hours < 0.1:
        return f"{hours:.4f} h ({hours * 3600:.0f} s)"
    return f"{hours:.1f} h"


def hours_of(job: Job) -> float | None:
    """Hours a job takes: its last time, else the median of its rule's jobs with its architecture and task, else of all.

    From `resources.json` of finished runs (all sessions counted), else from benchmark files; None if nothing like it
    was ever run.
    """
    resources = next((path for path in job.output if Path(path).name == "resources.json"), None)
    for path, read in ((resources, _seconds_of_resources), (job.benchmark, _seconds_of_benchmark)):
        if path is None:
            continue
        for kept in (None, ("architecture", "task"), ()):
            pattern = path if kept is None else _like(path, kept)
            seconds = _median(pattern, read)
            if seconds is not None:
                return seconds / 3600
    return None


@cache
def _median(pattern: str, read: Callable[[Path], float | None]) -> float | None:
    """Median over the files that match a relative or absolute pattern."""
    anchor = Path(pattern).anchor
    files = Path(anchor or ".").glob(pattern.removeprefix(anchor))
    seconds = [value for value in map(read, files) if value is not None]
    return statistics.median(seconds) if seconds else None


def _like(path: str, kept: Iterable[str]) -> str:
    """A path with every `axis=value` but those kept made a wildcard."""
    parts = Path(path).parts
    stars = [
        f"{part.partition('=')[0]}=*{Path(part).suffix if part is parts[-1] else ''}"
        if "=" in part and part.partition("=")[0] not in kept
        else part
        for part in parts
    ]
    return str(Path(*stars))


def _seconds_of_resources(path: Path) -> float | None:
    seconds = json.loads(path.read_bytes()).get("seconds")
    return None if seconds is None else float(seconds)


def _seconds_of_benchmark(path: Path) -> float | None:
    lines = path.read_text().splitlines()
    if len(lines) < 2:
        return None
    return float(dict(zip(lines[0].split("\t"), lines[1].split("\t"), strict=False))["s"])


def _parts(reason: str) -> list[str]:
    """The single reasons in Snakemake's sentence; the one about parameters holds any character and comes last."""
    head, found, tail = reason.partition(PARAMETERS)
    parts = [part for part in head.split("; ") if part]
    return [*parts, found + tail] if found else parts


def _plain(part: str) -> str:
    for snakemakes, ours in PLAIN_WORDS.items():
        if part.startswith(snakemakes):
            rest = part.removeprefix(snakemakes)
            return ours + (listed(sorted(rest.split(", ")), MOST_FILES) if ours.endswith(": ") else "")
    return part


def _missing(job: Job) -> str:
    absent = [path for path in job.output if not Path(path).exists()]
    if len(absent) == len(job.output):
        return NEW
    return f"missing file: {', '.join(Path(path).name for path in absent)}"


def _changed_settings(text: str) -> list[str]:
    """Differences between the recorded and the present parameters, which Snakemake quotes as Python literals."""
    before, now = _quoted(text)
    if before is None or now is None:
        return ["its parameters changed"]
    found: dict[str, None] = {}
    for old in before:
        for new in now:
            if isinstance(old, dict) and isinstance(new, dict):
                found |= dict.fromkeys(differences(old, new))
            else:
                found[f"{old!r} -> {new!r}"] = None
    return list(found) or ["its parameters are recorded in another order"]


def _quoted(text: str) -> tuple[list[Any] | None, list[Any] | None]:
    """The parameters before and now, each a list: outputs of one job may carry different records."""
    body = text.removeprefix(UNION).removeprefix(BEFORE).strip()
    position = body.find(NOW)
    while position >= 0:  # a setting may hold the word itself
        before, now = _literals(body[:position]), _literals(body[position + len(NOW) :].partition("; Software env")[0])
        if before is not None and now is not None:
            return before, now
        position = body.find(NOW, position + 1)
    return None, None


def _literals(text: str) -> list[Any] | None:
    if text == NOTHING_EXCLUSIVE:
        return []
    try:
        return list(ast.literal_eval(f"({text},)"))
    except (SyntaxError, ValueError):
        return None
