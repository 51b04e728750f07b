"""One study on the test cluster: its folder, its Snakemake, and what its jobs' logs say afterwards.

The folder is a copy of the checkout, entered as a user would enter it: `snakemake --profile profiles/slurm`.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import psutil

from slurm.cluster import DIES_WITH_THE_TEST, Cluster, ClusterError, wait_for

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".snakemake", "results", "checkpoints", ".*_cache", "__pycache__", "benchmarks", "docs", "unit"
)
CONFIGURATION = ("tests/config.tiny.yaml", "tests/slurm/study.yaml")
AXES = ("architecture", "task", "recipe", "warmup", "seed")
RUN = "results/tiny/runs/architecture=gpt2/task=series/recipe=adamw/warmup={warmup}/seed=0/summary.json"
TWO_RUNS = (RUN.format(warmup="0"), RUN.format(warmup="0.25"))
"""What a drill trains."""
RESULTS = ("log.parquet", "evaluation.parquet", "attention.parquet", "summary.json")
"""Files of a run that are the same bytes whatever disturbed it."""
PATIENCE = 600  # seconds for anything awaited: a loaded machine is no failure

LINE = re.compile(r"^(\d\d):(\d\d):(\d\d) (.*)$")
START = re.compile(r"resumed after step (\d+) of")
PROGRESS = re.compile(r"step (\d+)/\d+ ")
STOP = re.compile(r"\S+: checkpoint written after step (\d+), stopping")
END = re.compile(r"(?:finished|collapsed|diverged) after (\d+) steps")
DAY = 24 * 3600


@dataclass(frozen=True)
class Session:
    """What one process trained of a run, by the run's own account (resources.json)."""

    job: int
    first: int
    last: int
    began: datetime
    ended: datetime
    device: str


@dataclass
class Piece:
    """What one job did of a run, by the job's log: from which step to which, when (seconds of the day), whether it
    finished the run. A log may lack its last lines, or all, if the node was lost."""

    job: int
    first: int
    last: int
    began: int
    ended: int
    said_goodbye: bool = False
    """The log says that a checkpoint was written on the way out."""
    finished: bool = False


def pieces_of(job: int, log: str) -> list[Piece]:
    """Pieces of training in a job's log, in order: several if the job was requeued."""
    found: list[Piece] = []
    current: Piece | None = None
    for line in log.splitlines():
        stamped = LINE.match(line)
        if stamped is None:
            continue
        hours, minutes, seconds, message = stamped.groups()
        now = 3600 * int(hours) + 60 * int(minutes) + int(seconds)
        start, progress, stop, end = (pattern.match(message) for pattern in (START, PROGRESS, STOP, END))
        if start is not None:
            current = Piece(job, int(start[1]), int(start[1]), now, now)
            found.append(current)
        if current is None and (progress or stop or end):
            current = Piece(job, 0, 0, now, now)
            found.append(current)
        if current is None:
            continue
        current.ended = now
        for mark in (progress, stop, end):
            if mark is not None:
                current.last = int(mark[1])
        if stop or end:
            current.finished = end is not None
            current.said_goodbye = stop is not None
            current = None
    return found


def overlap(one: Piece, other: Piece) -> bool:
    """Whether two pieces were trained at the same time (to the second; midnight may lie between them)."""
    return _before(one.began, other.ended) and _before(other.began, one.ended)


def _before(early: int, late: int) -> bool:
    return 0 < (late - early) % DAY < DAY / 2


class Study:
    """A study in `folder`, run through a SLURM profile on `cluster`; `configuration`: its files, later ones on top."""

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        profile: str,
        targets: tuple[str, ...],
        configuration: tuple[str, ...] = CONFIGURATION,
    ) -> None:
        self.cluster = cluster
        self.folder = folder
        self.profile = profile
        self.targets = targets
        self.configuration = configuration
        self._started: list[subprocess.Popen[bytes]] = []
        if not folder.exists():
            shutil.copytree(ROOT, folder, ignore=LEFT_OUT)

    def without_runs(self, folder: Path, profile: str, targets: tuple[str, ...]) -> "Study":
        """A study in a copy of this one's folder that has its data and checked models, but no run."""
        shutil.copytree(
            self.folder, folder, ignore=shutil.ignore_patterns("runs", "checkpoints", "slurm_logs", "locks")
        )
        return Study(self.cluster, folder, profile, targets, self.configuration)

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Snakemake in the background, output to snakemake.out."""
        with (self.folder / "snakemake.out").open("ab") as output:
            process = subprocess.Popen(
                [*DIES_WITH_THE_TEST, *self.command(*arguments)],
                cwd=self.folder,
                env=self.environment(),
                stdout=output,
                stderr=output,
            )
        self._started.append(process)
        return process

    def stop(self) -> None:
        """End what is still running after a test, however it went."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()
        unfinished = [str(job) for job in self.cluster.jobs(states="PENDING,RUNNING,COMPLETING")]
        if unfinished:
            self.cluster.run("scancel", "--signal=KILL", "--full", *unfinished, check=False)
            self.cluster.run("scancel", *unfinished, check=False)
        for process in psutil.process_iter(["cwd"]):  # what a node that was set down lost sight of
            if process.info["cwd"] and Path(process.info["cwd"]).is_relative_to(self.folder):
                process.kill()

    def unlock(self) -> None:
        """What a user does after Snakemake was killed."""
        subprocess.run(self.command("--unlock"), cwd=self.folder, env=self.environment(), check=True)

    def dry_run(self) -> str:
        """What Snakemake says it would do."""
        command = self.command("--dry-run")
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, check=True
        )
        return done.stdout + done.stderr

    def command(self, *arguments: str) -> list[str]:
        """The user's command, and what a test cluster without an accounting database needs."""
        return [
            str(Path(sys.executable).with_name("snakemake")),
            f"--profile=profiles/{self.profile}",
            "--configfile", *self.configuration,
            "--set-resources=train:gpu=1",
            "--slurm-status-command=squeue",
            "--slurm-init-seconds-before-status-checks=1",
            "--max-status-checks-per-second=1",
            "--slurm-keep-successful-logs",
            "--latency-wait=10",
            *arguments,
            "--",
            *self.targets,
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        """That of the cluster; a requeued job goes on in the same log, and BLAS keeps to one core."""
        return {
            **self.cluster.environment,
            "SBATCH_OPEN_MODE": "append",
            "OMP_NUM_THREADS": "1",
            "PWD": str(self.folder),
        }

    def finish(self, snakemake: "subprocess.Popen[bytes]", seconds: float = PATIENCE) -> None:
        """Wait for Snakemake to end well; ClusterError with its output if it does not."""
        try:
            code = snakemake.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            snakemake.kill()
            raise ClusterError(f"Snakemake was not done after {seconds:.0f} s\n{self.report()}") from None
        if code != 0:
            raise ClusterError(f"Snakemake ended with {code}\n{self.report()}")

    def await_training(self) -> tuple[int, str]:
        """Wait until a training has written a checkpoint, and its log says how far it is; its (job id, run folder)."""
        found: dict[int, str] = {}

        def under_way() -> bool:
            running = self.cluster.jobs("train", "RUNNING")
            runs = {job: self.run_of(job) for job in running}
            begun = {piece.job for pieces in self.pieces().values() for piece in pieces}
            found.update({job: run for job, run in runs.items() if run in self._checkpointed() and job in begun})
            return bool(found)

        self._wait_for(under_way, "a training to be under way")
        return min(found.items())

    def run_of(self, job: int) -> str:
        """Run folder (below runs/) of a job of the rule train, from where it logs; empty if it has not logged yet."""
        for path in self._job_logs():
            if path.stem == str(job):
                return "/".join(
                    f"{axis}={value}" for axis, value in zip(AXES, path.parent.name.split("_"), strict=True)
                )
        return ""

    def files(self, name: str) -> dict[str, bytes]:
        """{run folder: content} of the named file of every run."""
        root = self.folder / "results/tiny/runs"
        return {str(path.parent.relative_to(root)): path.read_bytes() for path in sorted(root.rglob(name))}

    def sessions(self) -> dict[str, list[Session]]:
        """{run folder: its sessions, in order} of every finished run."""
        return {
            run: [
                Session(
                    job=int(entry["slurm_job"]),
                    first=entry["first_step"],
                    last=entry["last_step"],
                    began=datetime.fromisoformat(entry["began"]),
                    ended=datetime.fromisoformat(entry["ended"]),
                    device=entry["visible_devices"],
                )
                for entry in json.loads(content)["sessions"]
            ]
            for run, content in self.files("resources.json").items()
        }

    def assert_each_run_trained_once(self) -> None:
        """Every run was trained from its first step to its last by one job at a time, each going on where the last one
        stopped, by the runs' own accounts."""
        for run, sessions in self.sessions().items():
            assert sessions[0].first == 0, (run, sessions)
            for before, after in pairwise(sessions):
                assert after.first == before.last, f"{run} did not go on where it stopped: {sessions}"
                assert after.began >= before.ended, f"{run} was trained by two jobs at once: {sessions}"

    def pieces(self) -> dict[str, list[Piece]]:
        """{run folder: what its jobs did, in the order in which they did it}, read from the jobs' own logs."""
        found: dict[str, list[Piece]] = {}
        for path in sorted(self._job_logs(), key=lambda path: int(path.stem)):
            for piece in pieces_of(int(path.stem), path.read_text(errors="replace")):
                found.setdefault(self.run_of(int(path.stem)), []).append(piece)
        return found

    def partitions(self) -> dict[str, set[str]]:
        """{rule: partitions its jobs went to}."""
        found: dict[str, set[str]] = {}
        for folder in self.folder.glob(".snakemake/slurm_logs/rule_*"):
            jobs = [path.stem for path in folder.rglob("*.log")]
            listed = self.cluster.run("squeue", "--states=all", "--noheader", "--format=%P", f"--jobs={','.join(jobs)}")
            found[folder.name.removeprefix("rule_")] = set(listed.split())
        return found

    def report(self) -> str:
        """What a person needs to see of a failure."""
        parts = [f"--- {self.folder}/snakemake.out\n" + _tail(self.folder / "snakemake.out", 60)]
        parts += [f"--- {path}\n" + _tail(path, 25) for path in self._job_logs()]
        parts.append(self.cluster.run("squeue", "--states=all", check=False))
        return "\n".join([*parts, self.cluster.logs()])

    def _checkpointed(self) -> set[str]:
        folders = {path.parent for path in self.folder.glob("checkpoints/*/step-*.checkpoint")}
        abouts = [json.loads((folder / "run.json").read_text()) for folder in folders]
        return {"/".join(f"{axis}={about[axis]}" for axis in AXES) for about in abouts}

    def _job_logs(self) -> list[Path]:
        return list(self.folder.glob(".snakemake/slurm_logs/rule_train/*/*.log"))

    def _wait_for(self, condition: Callable[[], bool], what: str) -> None:
        try:
            wait_for(condition, PATIENCE, what)
        except ClusterError as error:
            raise ClusterError(f"{error}\n{self.report()}") from None


def _tail(path: Path, lines: int) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(none)"
