"""What planning costs: seconds of `snakemake --dry-run` for 840 new runs, the same 840 finished, and 8,400 new ones.

    python benchmarks/planning.py [--repeats 3]

Seconds are the median of wall-clock time over whole processes, interpreter included; processor time stands beside it,
which other work on the machine disturbs less. The peer is Snakemake alone: a workflow of as many runs with five outputs
each and not one parameter, which is what planning costs at least. The finished study is fabricated in a temporary
folder: every output of the plan empty, recorded as made by the present code through `snakemake --touch`, but each run's
summary.json as a training would write it, since planning reads them.
"""

import argparse
import ast
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from warmup.provenance import why  # noqa: E402

PLAIN = """
rule all:
    input:
        expand("runs/{{run}}/{{name}}", run=range({runs}), name=["log", "evaluation", "attention", "summary"])

rule train:
    output:
        [f"runs/{{{{run}}}}/{{name}}" for name in ("log", "evaluation", "attention", "summary", "resources")]
    shell:
        "touch {{output}}"
"""
"""Snakemake alone."""


class Case(NamedTuple):
    """A plan to be timed, and the seconds it may take (issue 4)."""

    name: str
    runs: int
    finished: bool
    limit: float
    configuration: Sequence[str]


CASES = (
    Case("840 new runs", 840, False, 8.0, ["scale=paper"]),
    Case("840 finished runs", 840, True, 10.0, ["scale=paper"]),
    Case("8,400 new runs", 8400, False, 60.0, ["scale=paper", "seeds=100"]),
)


def main(arguments: Sequence[str]) -> int:
    """Print one line per case; 1 if a plan took longer than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="plans per case")
    repeats = parser.parse_args(arguments).repeats
    print(f"{'plan of':<20}{'seconds':>9}{'limit':>7}{'processor':>11}{'Snakemake alone':>17}{'ratio':>7}")
    late = False
    for case in CASES:
        with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as plain:
            Path(plain, "Snakefile").write_text(PLAIN.format(runs=case.runs))
            options = ["--snakefile", str(ROOT / "Snakefile"), "--configfile", str(ROOT / "config.yaml")]
            options += ["--workflow-profile", str(ROOT / "profiles" / "default"), "--config", *case.configuration]
            if case.finished:
                finish(Path(ours), options)
                finish(Path(plain), [])
            seconds, processor = planning(Path(ours), options, repeats)
            _, alone = planning(Path(plain), [], repeats)
        late |= seconds > case.limit
        times = f"{seconds:>9.1f}{case.limit:>7.0f}{processor:>11.1f}{alone:>17.1f}{processor / alone:>7.2f}"
        print(f"{case.name:<20}{times}", flush=True)
    return int(late)


def planning(folder: Path, options: Sequence[str], repeats: int) -> tuple[float, float]:
    """Medians of wall-clock and of processor seconds of a dry-run in `folder`."""
    wall, processor = [], []
    for _ in range(repeats):
        started, used = time.perf_counter(), _processor_seconds()
        snakemake(folder, ["--dry-run", "--quiet", *options])
        wall.append(time.perf_counter() - started)
        processor.append(_processor_seconds() - used)
    return statistics.median(wall), statistics.median(processor)


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def finish(folder: Path, options: Sequence[str]) -> None:
    """Make every file the plan names and have Snakemake record it as made by the present code and settings."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        outputs = [Path(path) for job in why.planned(["--cores", "1", *options]).jobs for path in job.output]
        for path in outputs:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")
        touch = ["--touch", "--forceall", "--cores", "1", "--quiet", *options]
        snakemake(folder, touch)
        summaries = [path for path in outputs if path.name == "summary.json"]
        for path in summaries:
            (settings,) = map(ast.literal_eval, recorded_parameters(path))
            path.write_text(json.dumps({"code": settings.pop("code"), "settings": settings, "versions": {}}))
        if summaries:
            snakemake(folder, touch)
        left = why.planned(["--cores", "1", *options])
        if left.jobs or left.warnings:
            raise SystemExit(f"the fabricated study is not finished: {left}"[:2000])
    finally:
        os.chdir(before)


def recorded_parameters(path: Path) -> list[str]:
    """What Snakemake recorded as parameters of an output, each as text of a Python literal."""
    name = urlsafe_b64encode(str(path).encode()).decode()
    parts = [name[start : start + 254] for start in range(0, len(name), 254)]
    file = Path(".snakemake", "metadata", *(f"@{part}" for part in parts[:-1]), parts[-1])
    parameters: list[str] = json.loads(file.read_text())["params"]
    return parameters


def snakemake(folder: Path, options: Sequence[str]) -> None:
    """Run Snakemake in `folder`; end with its words if it fails."""
    command = [sys.executable, "-m", "snakemake", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
