"""Trainings of the laptop study started warm and cold (docs/performance.md): all of them, and what each costs besides.

One seed without warmup of every cell. Contenders go through Snakemake, by turns, each in a folder of its own with the
data prepared; time that other work on the machine takes counts, so state the load.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import REPOSITORY, Machine, Row, share_of, single

ROUNDS = 2
LIMIT = 0.6
"""Seconds that a training's process may take besides the training (issue 15)."""
STARTS = ("warm", "cold")


def rows(machine: Machine) -> Iterator[Row]:
    """All trainings, warm over cold; seconds besides the training in a job, over the limit."""
    seconds: dict[str, list[float]] = {start: [] for start in STARTS}
    besides: dict[str, list[float]] = {start: [] for start in STARTS}
    for turn in range(ROUNDS):
        for start in STARTS if turn % 2 == 0 else reversed(STARTS):
            with tempfile.TemporaryDirectory() as folder:
                study = Path(folder, "study.json")
                study.write_text(json.dumps({"seeds": 1, "warmups": [0], "training": {"start": start}}))
                snakemake(folder, machine.threads, until="prepare_data")
                began = time.perf_counter()
                snakemake(folder, machine.threads, until="train")
                seconds[start].append(time.perf_counter() - began)
                besides[start] += besides_training(Path(folder, "results", "laptop"), start)
    count = len(besides["warm"]) // ROUNDS
    yield share_of(f"{count} laptop trainings", seconds, "warm", "cold", LIMIT)
    for start in STARTS:
        median = statistics.median(besides[start])
        limit = 1.0 if start == "warm" else None
        yield single(f"{start} training, start and end", f"{median:.2f} s", f"limit {LIMIT} s", median / LIMIT, limit)


def snakemake(folder: str, cores: int, until: str) -> None:
    """Run the jobs of a rule in `folder`, with the study's configuration there; stop with Snakemake's words."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "--directory", folder]
    command += ["--workflow-profile", str(REPOSITORY / "profiles" / "default"), "--cores", str(cores)]
    command += ["--configfile", str(Path(folder, "study.json")), "--quiet", "all"]
    command += ["--until", until, "--", "train_all"]
    environment = {**os.environ, "TMPDIR": "/tmp"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


def besides_training(results: Path, start: str) -> list[float]:
    """Seconds of each job (Snakemake's benchmark of the process that it waits for) above those of its training."""
    found = []
    for file in (results / "runs").rglob("resources.json"):
        resources = json.loads(file.read_text())
        if resources["start"] != start:
            raise SystemExit(f"{file}: started {resources['start']}, not {start}")
        folder = results / "benchmarks" / "train" / file.parent.relative_to(results / "runs")
        table = folder.with_name(f"{folder.name}.tsv").read_text().splitlines()
        job = dict(zip(*(line.split("\t") for line in table[:2]), strict=True))
        found.append(float(job["s"]) - resources["seconds"])
    return found
