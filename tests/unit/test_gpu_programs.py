"""What can be said without a card of the programs that need one: they end with a sentence, or are not collected."""

import os
import subprocess
import sys
from pathlib import Path

import torch
import yaml

from warmup.architectures import model
from warmup.config import configuration, grid
from warmup.cost import expected_data

ROOT = Path(__file__).resolve().parents[2]

DRY = "environment or series or flash or (stopped and gpt2) or 96 or pictures or nan or keys"
"""Which of the tests for a card run in CI, on a CPU."""


def test_the_benchmark_without_a_card_says_what_it_needs() -> None:
    assert not torch.cuda.is_available()
    environment = dict(os.environ, PYTHONPATH=str(ROOT / "workflow_scripts"))
    done = subprocess.run(
        [sys.executable, "benchmarks/gpu.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "needs an NVIDIA GPU" in done.stderr, done.stderr


def test_the_benchmark_runs_dry_with_the_trainer_beside_ours() -> None:
    environment = dict(os.environ, PYTHONPATH=str(ROOT / "workflow_scripts"), OMP_NUM_THREADS="1")
    command = [sys.executable, "benchmarks/gpu.py", "--dry", "--steps", "2", "--cells", "gpt2/language", "rwkv/images"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    heads, _, *rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("|")]
    table = [dict(zip(heads, row, strict=True)) for row in rows]
    assert [row["cell"] for row in table] == ["gpt2, language", "rwkv, images"]
    for row in table:
        assert float(row["ms"]) > 0 and float(row["transformers' Trainer, ms"]) > 0
        assert row["mamba-ssm's model, ms"] == row["fla's nearest model, ms"] == "-", "these need a card"


def test_the_trainer_of_the_benchmark_trains_the_cells_own_network(tmp_path: Path) -> None:
    """Its loss at the start is that of our loop on the same batch."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import gpu_peers
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    tiny = configuration.merge(config, yaml.safe_load((ROOT / "tests" / "config.tiny.yaml").read_text()))
    settings = configuration.effective(tiny)
    run = {**grid.run_settings(settings, grid.Run("gpt2", "language", "adamw", "0.25", "0")), "code": {}}
    expected_data.fill(settings["tasks"]["language"], tmp_path / "data")
    task = gpu_peers.task_of(settings["tasks"]["language"], tmp_path / "data")
    batch = task.batch(0, 0)
    theirs = gpu_peers.plain_network(run, task)(*batch)["loss"]
    ours = model.build(settings["architectures"]["gpt2"], task, seed=0)
    assert torch.allclose(theirs, task.loss(ours(batch[0]), batch[1]), rtol=1e-6)


def test_the_tests_for_a_card_run_dry_on_a_cpu() -> None:
    """Their lines run, on small networks, without what only a card can answer; half of them here."""
    environment = dict(os.environ, WARMUP_TEST_GPU="cpu", OMP_NUM_THREADS="1")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "tests/gpu", "-k", DRY]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-3000:] + done.stderr


def test_tests_for_a_card_are_collected_where_they_are_asked_for_alone() -> None:
    for asked, part in (("", "no tests"), ("1", "tests collected")):
        environment = dict(os.environ, WARMUP_TEST_GPU=asked)
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:xdist", "tests/gpu"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert part in done.stdout, done.stdout + done.stderr
