"""A finished study, made once per session by real trainings, and copies of it to change and to plan again."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dag.studies import CONFIGURATION, REPOSITORY, Finished, Study, copy_checkout


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker takes all tests of this folder, to make the study once; a busy machine needs a while for it."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("finished study"))
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("study")
    recorded = tmp_path_factory.mktemp("recorded")
    copy_checkout(folder)
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY / "tests" / "dag" / "recorder"),
        "RECORDED_MODULES": str(recorded),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "--configfile", *CONFIGURATION]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return Finished(folder, [json.loads(file.read_text()) for file in sorted(recorded.iterdir())])


@pytest.fixture
def study(finished: Finished, tmp_path: Path) -> Study:
    """A copy of the finished study, times of files included, to do anything to."""
    folder = tmp_path / "study"
    shutil.copytree(finished.folder, folder, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
    return Study(folder)
