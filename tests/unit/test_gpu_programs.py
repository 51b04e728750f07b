"""What can be said without a card of the programs that need one: they end with a sentence, or are not collected."""

import os
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]


def test_the_benchmark_without_a_card_says_what_it_needs() -> None:
    assert not torch.cuda.is_available()
    environment = dict(os.environ, PYTHONPATH=str(ROOT / "workflow_scripts"))
    done = subprocess.run(
        [sys.executable, "benchmarks/gpu.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "needs an NVIDIA GPU" in done.stderr, done.stderr


def test_tests_for_a_card_are_collected_where_they_are_asked_for_alone() -> None:
    for asked, part in (("", "no tests"), ("1", "tests collected")):
        environment = dict(os.environ, WARMUP_TEST_GPU=asked)
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:xdist", "tests/gpu"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert part in done.stdout, done.stdout + done.stderr
