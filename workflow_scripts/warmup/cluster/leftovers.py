"""SLURM jobs that a killed Snakemake left behind, ended before new ones are submitted for the same runs.

A Snakemake that dies (SIGKILL, a login node rebooted) leaves its jobs running. Started again, it does not know them: it
would submit their runs once more, behind the old jobs in the queue, and each new job would begin by deleting what the
old one had finished meanwhile. Standard library only, since the Snakefile imports it.
"""

import logging
import os
import shutil
import subprocess
import time
from pathlib import Path

PATIENCE = 600
"""Seconds that ended jobs may take to write their checkpoints and leave the queue (SLURM kills them after KillWait)."""

logger = logging.getLogger("warmup")


def find(logs: Path) -> list[str]:
    """Numbers of this user's SLURM jobs, waiting or running, that write their logs below `logs`; none without SLURM.

    The folder names the working directory, so jobs of another study are not among them. It is asked after Snakemake has
    locked the directory, so no other start of this study is alive.
    """
    if not logs.is_dir() or shutil.which("squeue") is None:
        return []
    command = ["squeue", "--noheader", f"--user={os.getuid()}", "--Format=JobID:.20,STDOUT:.4000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return []  # no cluster answers: nothing can be running that Snakemake could submit beside
    rows = (line.split(maxsplit=1) for line in done.stdout.splitlines() if line.strip())
    return [number for number, path in rows if Path(path.strip()).is_relative_to(logs.resolve())]


def end(logs: Path, patience: float = PATIENCE) -> list[str]:
    """Cancel the jobs that `find` finds and wait until they are gone; their numbers.

    A cancelled training writes a checkpoint, from which its next job goes on. Raises TimeoutError after `patience`.
    """
    jobs = find(logs)
    if not jobs:
        return []
    logger.warning("jobs of an earlier start are ended first, their runs go on from a checkpoint: %s", ", ".join(jobs))
    subprocess.run(["scancel", *jobs], check=True)
    deadline = time.monotonic() + patience
    while set(find(logs)) & set(jobs):
        if time.monotonic() > deadline:
            raise TimeoutError(f"jobs of an earlier start have not left the queue after {patience:.0f} s: {jobs}")
        time.sleep(1)
    return jobs
