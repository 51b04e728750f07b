"""Lightning, in an environment of its own: the lines of `warmup schedule` for it, and the recorder's callback."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars
import pytest

from warmup.command import trainers

RECIPE = {"peak_learning_rate": 6.0e-3, "start": 0.0, "schedule": "cosine", "floor": 0.1}
PLAN = trainers.Plan(RECIPE, steps=41, warmup=9, options={}, accumulate=1)
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lightning")]


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Callable[..., Any]:
    """Runs a program beside this file with the version of Lightning that the lines name, beside this one's torch; what
    it prints last, as JSON."""
    folder = tmp_path_factory.mktemp("lightning")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    shared = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "shared.pth").write_text(f"{shared}\n")
    own = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(own), "install"]
    version = trainers.lightning(PLAN).source.replace(" ", "==")
    subprocess.run([*pip, version, "torch==2.13.0"], check=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(repository / "workflow_scripts")}

    def run(program: str, *arguments: Any) -> Any:
        command = [str(own), str(Path(__file__).with_name(program)), *map(str, arguments)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_the_lines_for_lightning_give_our_rates_through_a_resume(drive: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "lines.py").write_text(trainers.lightning(PLAN).text)
    rates = drive("drive_lightning_schedule.py", tmp_path / "lines.py", PLAN.steps)
    assert rates == pytest.approx(PLAN.rates().tolist(), rel=1e-12)


def test_lightnings_callback_records_norms_before_clipping_and_changes_no_bit(
    drive: Callable[..., Any], tmp_path: Path
) -> None:
    """Lightning runs backward inside `optimizer.step`, so that a norm read before it would be the update's before."""
    told = drive("drive_lightning_recorder.py", tmp_path / "early.parquet", 9, 7)
    table = polars.read_parquet(tmp_path / "early.parquet")
    assert table["step"].to_list() == list(range(7))
    assert table["gradient_norm"].to_list() == pytest.approx(told["norms"][:7], rel=1e-6)
    assert table["learning_rate"].to_list() == pytest.approx(told["rates"][:7], rel=1e-12)
    assert table["relative_update"].min() > 0
    assert told["same"] and told["hooks"] == 0
