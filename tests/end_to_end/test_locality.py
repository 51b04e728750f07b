"""Where files lie: results and checkpoints on two file systems, scratch by TMPDIR, few files, a read-only checkout."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = [ROOT / name for name in ("tests/config.tiny.yaml", "tests/slurm/study.yaml")]
RUN = "runs/architecture=gpt2/task=series/recipe=adamw/warmup={warmup}/seed={seed}"
PAPER_RUNS = 840
LARGEST_FOLDER = 10_000


def command(work: Path, results: Path, checkpoints: Path, *targets: str, checkout: Path = ROOT) -> list[str]:
    return [
        str(Path(sys.executable).with_name("snakemake")),
        f"--snakefile={checkout / 'Snakefile'}",
        f"--directory={work}",
        f"--workflow-profile={checkout / 'profiles/default'}",
        "--cores=1",
        "--configfile",
        *(str(checkout / path.relative_to(ROOT)) for path in CONFIGURATION),
        *(str(path) for path in work.parent.glob("*.yaml")),
        "--config",
        f"results={results}",
        f"checkpoints={checkpoints}",
        "--",
        *targets,
    ]


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **changes}


def summary(results: Path, warmup: str = "0", seed: int = 0) -> str:
    return str(results / "tiny" / RUN.format(warmup=warmup, seed=seed) / "summary.json")


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder on a file system of its own (tmpfs)."""
    with TemporaryDirectory(dir="/dev/shm", prefix="warmup-") as folder:
        yield Path(folder)


def test_results_and_checkpoints_may_lie_on_different_file_systems(tmp_path: Path, memory: Path) -> None:
    assert memory.stat().st_dev != tmp_path.stat().st_dev, "the test needs two file systems"
    work, results, checkpoints = tmp_path / "work", tmp_path / "results", memory / "checkpoints"
    work.mkdir()
    (tmp_path / "long_enough_to_be_interrupted.yaml").write_text("scales: {tiny: {training: {steps: 1200}}}")
    scratch = memory / "scratch"
    scratch.mkdir()
    wanted = summary(results)
    call = command(work, results, checkpoints, wanted)
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(
            call, env=environment(TMPDIR=str(scratch)), stdout=output, stderr=output, start_new_session=True
        )
        deadline = time.monotonic() + 600
        while not list(checkpoints.glob("*/step-*.checkpoint")):
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "output").read_text()
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # Ctrl-C reaches the training too, which writes a checkpoint
        process.wait(timeout=120)
    assert not Path(wanted).exists()
    assert list(checkpoints.glob("*/step-*.checkpoint"))
    subprocess.run(call, env=environment(TMPDIR=str(scratch)), check=True)
    assert {path.name for path in Path(wanted).parent.iterdir()} == {
        "log.parquet", "evaluation.parquet", "attention.parquet", "summary.json", "resources.json",
    }  # fmt: skip
    assert len(json.loads((Path(wanted).parent / "resources.json").read_text())["sessions"]) == 2
    assert list(checkpoints.iterdir()) == []
    left = [path for path in work.rglob("*") if path.is_file() and ".snakemake" not in path.parts]
    assert left == [], "something was written beside results and checkpoints"


def test_no_folder_grows_to_ten_thousand_entries_at_paper_scale(tmp_path: Path) -> None:
    """What a further run adds to each folder, times 840."""
    results, checkpoints = tmp_path / "results", tmp_path / "checkpoints"

    def entries() -> Counter[str]:
        return Counter({str(path.parent): 0 for path in tmp_path.rglob("*")}) + Counter(
            str(path.parent) for path in tmp_path.rglob("*")
        )

    subprocess.run(command(tmp_path, results, checkpoints, summary(results, "0")), env=environment(), check=True)
    first = entries()
    subprocess.run(command(tmp_path, results, checkpoints, summary(results, "0.25")), env=environment(), check=True)
    grown = {folder: count - first[folder] for folder, count in entries().items() if count > first[folder]}
    start_only = {str(tmp_path / ".snakemake" / name) for name in ("log",)}  # one file a start, not a run
    for folder, count in grown.items():
        if folder in first and folder not in start_only:
            assert count * PAPER_RUNS < LARGEST_FOLDER, f"{folder}: {count} entries more for one run"
    new_files = [path for path in (results / "tiny").rglob("*") if path.is_file() and "warmup=0.25" in str(path)]
    assert len(new_files) <= 7, new_files  # five of the run, a log, a benchmark


def test_a_checkout_is_not_written_to(tmp_path: Path) -> None:
    checkout, work = tmp_path / "checkout", tmp_path / "work"
    left_out = shutil.ignore_patterns(
        ".git", ".venv", ".snakemake", "results", "checkpoints", ".*_cache", "__pycache__"
    )
    shutil.copytree(ROOT, checkout, ignore=left_out)
    for path in [checkout, *checkout.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)  # who is root may write all the same: so the listing decides

    def listing() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [checkout, *checkout.rglob("*")]}

    before = listing()
    work.mkdir()
    wanted = summary(Path("results"))
    call = command(work, Path("results"), Path("checkpoints"), wanted, checkout=checkout)
    subprocess.run(call, cwd=tmp_path, env=environment(), check=True)
    assert listing() == before
    assert (work / wanted).exists()
