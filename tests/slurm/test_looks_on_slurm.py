"""An adaptive study on the cluster: Snakemake killed inside a look and between two, and started again each time."""

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm.cluster import Cluster, wait_for
from slurm.study import PATIENCE, RESULTS, Study

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

CONFIGURATION = ("tests/config.tiny.yaml", "tests/slurm/looks.yaml")
TARGETS = ("train_all", "looks_table", "answer", "effects_figures")
"""What the first page of the report and its record of looks need."""
RUNS_OF_LOOKS = (6, 9)
"""Runs that each look looks at: three warmups at two seeds, then at three."""


@pytest.fixture
def undisturbed(cluster: Cluster, tmp_path: Path) -> Study:
    """The study by one Snakemake on this machine and no cluster."""
    alone = Study(cluster, tmp_path / "alone", "", TARGETS[:2], CONFIGURATION)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", *CONFIGURATION, "--", *alone.targets]
    done = subprocess.run(command, cwd=alone.folder, env=alone.environment(), capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return alone


@pytest.fixture
def study(undisturbed: Study, tmp_path: Path) -> Iterator[Study]:
    """The same study for the cluster: its data and checked models are there, no run and no look."""
    made = undisturbed.without_runs(tmp_path / "cluster", "slurm", TARGETS)
    shutil.rmtree(made.folder / "results/tiny/studies")
    yield made
    made.stop()


def looks_of(study: Study) -> dict[str, bytes]:
    """{name: record} of the looks that were taken."""
    return {
        path.name: path.read_bytes() for path in study.folder.glob("results/tiny/studies/looks_drill/looks/**/*.json")
    }


def finished(study: Study) -> dict[str, int]:
    """{run: when its summary was written} of every finished run."""
    return {str(path): path.stat().st_mtime_ns for path in study.folder.glob("results/tiny/runs/**/summary.json")}


def test_snakemake_killed_inside_and_between_looks_repeats_no_run_and_ends_in_the_same_verdicts(
    study: Study, undisturbed: Study
) -> None:
    snakemake = study.start()
    study.await_training()
    snakemake.kill()
    snakemake.wait()
    inside = finished(study)
    assert study.cluster.jobs("train", "PENDING,RUNNING"), "jobs should outlive their Snakemake"
    assert not looks_of(study) and len(inside) < RUNS_OF_LOOKS[0], "the first kill should come inside the first look"
    study.unlock()

    snakemake = study.start()
    wait_for(lambda: bool(looks_of(study)), PATIENCE, f"the first look\n{study.report()}")
    snakemake.kill()
    snakemake.wait()
    between = finished(study)
    assert list(looks_of(study)) == ["look=1.json"], "the second kill should come between looks"
    assert RUNS_OF_LOOKS[0] <= len(between) < RUNS_OF_LOOKS[1]
    study.unlock()

    study.finish(study.start())
    records = {name: json.loads(content) for name, content in looks_of(study).items()}
    assert {name: record["verdict"] for name, record in records.items()} == {
        "look=1.json": "goes on",
        "look=2.json": "decided",
    }
    assert looks_of(study) == looks_of(undisturbed)
    at_last = finished(study)
    assert inside.items() | between.items() <= at_last.items(), "a run that was finished was made again"
    for name in RESULTS:
        assert len(study.files(name)) == RUNS_OF_LOOKS[1]
        assert study.files(name) == undisturbed.files(name), name
    study.assert_each_run_trained_once()

    study.finish(study.start("--report", "report.zip"))
    with zipfile.ZipFile(study.folder / "report.zip") as archive:
        assert any(name.endswith("looks.html") for name in archive.namelist())
