"""The workflow as a module of another one, from a clone, as docs/advice.md has it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "advice.md"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A folder with the Snakefile of the page."""
    (text,) = re.findall(r"```snakemake\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "Snakefile").write_text(text.replace("../warmup-sweep", str(ROOT)))
    (tmp_path / "mine.yaml").write_text("seeds: 1\nwarmups: [0, 0.1]\n")
    return tmp_path


def snakemake(folder: Path, *arguments: str) -> str:
    command = [str(Path(sys.executable).with_name("snakemake")), "--cores", "1", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_clone_is_a_module_and_its_settings_are_the_users(other: Path) -> None:
    told = snakemake(other, "-n")
    assert re.search(r"warmup_train\s+24\b", told), told
    assert not (other / "results").exists()


@pytest.mark.slow
def test_a_job_of_the_module_runs_the_clones_code(other: Path) -> None:
    profile = str(ROOT / "profiles" / "default")
    snakemake(other, "--workflow-profile", profile, "warmup_schedule_gallery")
    assert list(other.glob("results/laptop/**/schedules.html"))
