"""A page that fails, on real Snakemake: `make` trains all runs, makes what it can, and says what failed."""

import os
import subprocess
import sys

import pytest
import yaml
from dag.studies import CONFIGURATION, Study, trainings

SELECTION = {"architectures": ["gpt2", "mamba"], "tasks": ["language"], "recipes": ["adamw"]}
CHANGED = {"seeds": 2, "studies": {"provenance": {"selections": [SELECTION]}}}
"""One seed more than what is finished: trainings are left to do."""

FAULT = 'def html(*_):\n    raise RuntimeError("a planted fault")'


def run(study: Study, module: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A step of `make all`, with the study's configuration."""
    (study.folder / "changed.yaml").write_text(yaml.safe_dump(CHANGED))
    command = [sys.executable, "-m", module, *options, "--configfile", *CONFIGURATION, "changed.yaml"]
    path = os.pathsep.join([str(study.folder / "workflow_scripts"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    return subprocess.run(
        command, cwd=study.folder, env=environment, capture_output=True, text=True, check=False, timeout=3000
    )


@pytest.mark.slow
def test_a_page_that_fails_stops_no_training_of_make_and_the_report_says_what_failed(study: Study) -> None:
    study.append("cost/page.py", FAULT)
    assert trainings(study.plan(configuration=CHANGED))
    done = run(study, "warmup.terminal.study", "--cores", "2", "--keep-going")
    assert done.returncode != 0
    plan = study.plan(configuration=CHANGED)
    assert trainings(plan) == []
    assert {job.rule for job in plan.jobs} <= {"bill", "bill_compared", "figures", "all"}, "all else was made"
    said = run(study, "warmup.plots.unfinished", "results/tiny/report.zip", "--config", "scale=tiny")
    assert said.returncode == 0, said.stderr
    assert "could not be made" in said.stderr
    assert "a planted fault" in said.stderr and "rule bill failed" in said.stderr
    assert (study.folder / "results/tiny/report.zip").is_file()
