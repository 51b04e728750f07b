"""Jobs of an earlier start: found by where they log, ended and waited for; by Snakemake's start, by a job's prologue.

A stand-in SLURM keeps its queue in a file (tests/slurm drives the real one).
"""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from warmup.cluster import leftovers

ROOT = Path(__file__).resolve().parents[2]

SQUEUE = """#!/bin/sh
case "$*" in
    *--jobs=*)
        wanted=$(echo "$*" | sed 's/.*--jobs=\\([0-9,]*\\).*/\\1/' | tr ',' '|')
        grep -E "^ *($wanted) " queue ;;
    *) cat queue ;;
esac
"""
SCANCEL = """#!/bin/sh
for job; do sed -i "/^ *$job /d" queue; echo $job >> cancelled; done
"""
SCONTROL = """#!/bin/sh
echo "JobId=30 JobName=x StdErr={log} StdIn=/dev/null StdOut={log} Power="
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory whose PATH leads to the stand-in."""
    programs = tmp_path / "bin"
    programs.mkdir()
    log = tmp_path / ".snakemake/slurm_logs/rule_train/gpt2_series 0.05_1/30.log"
    log.parent.mkdir(parents=True)
    for name, text in {"squeue": SQUEUE, "scancel": SCANCEL, "scontrol": SCONTROL.format(log=log)}.items():
        path = programs / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill_queue(work: Path, jobs: dict[int, Path]) -> None:
    lines = [f"{number:>20}{path!s:>400}" for number, path in jobs.items()]
    (work / "queue").write_text("".join(f"{line}\n" for line in lines))


def cancelled(work: Path) -> list[str]:
    path = work / "cancelled"
    return path.read_text().split() if path.exists() else []


def test_jobs_of_this_working_directory_are_ended_and_no_others(slurm: Path) -> None:
    logs = slurm / ".snakemake/slurm_logs"
    other = slurm.parent / "another study/.snakemake/slurm_logs"
    fill_queue(
        slurm, {11: logs / "rule_train/a b/%j.log", 12: other / "rule_train/a b/%j.log", 13: logs / "rule_bill/%j.log"}
    )
    assert leftovers.end(Path(".snakemake/slurm_logs")) == ["11", "13"]
    assert cancelled(slurm) == ["11", "13"]


def test_a_directory_with_a_longer_name_is_another_one(slurm: Path) -> None:
    fill_queue(slurm, {11: Path(f"{slurm}2/.snakemake/slurm_logs/rule_train/a/%j.log")})
    assert leftovers.end(Path(".snakemake/slurm_logs")) == []


def test_nothing_is_asked_where_slurm_never_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert leftovers.find(Path(".snakemake/slurm_logs")) == []


def test_jobs_that_stay_are_an_error(slurm: Path) -> None:
    (slurm / "bin/scancel").write_text("#!/bin/sh\n")
    fill_queue(slurm, {11: slurm / ".snakemake/slurm_logs/rule_train/a/%j.log"})
    with pytest.raises(TimeoutError, match="11"):
        leftovers.end(Path(".snakemake/slurm_logs"), patience=0.1)


def prologue(work: Path) -> str:
    done = subprocess.run(
        ["sh", "-c", f". {ROOT}/profiles/slurm/prologue.sh && echo begins"],
        cwd=work, env={**os.environ, "SLURM_JOB_ID": "30"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_a_job_ends_earlier_jobs_of_its_run_before_it_begins(slurm: Path) -> None:
    own = slurm / ".snakemake/slurm_logs/rule_train/gpt2_series 0.05_1"
    fill_queue(
        slurm,
        {
            9: own / "%j.log",
            29: own / "29.log",
            28: own.with_name("gpt2_series 0.05_10") / "28.log",  # another seed
            30: own / "%j.log",  # the job itself
            31: own / "%j.log",  # a later one, which will end this
        },
    )
    assert prologue(slurm).endswith("begins\n")
    assert cancelled(slurm) == ["9", "29"]


def test_a_job_without_earlier_ones_begins_at_once(slurm: Path) -> None:
    fill_queue(slurm, {30: slurm / ".snakemake/slurm_logs/rule_train/gpt2_series 0.05_1/%j.log"})
    assert prologue(slurm) == "begins\n"
    assert cancelled(slurm) == []
