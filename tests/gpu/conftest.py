"""Tests for a machine with an NVIDIA GPU (`make test-gpu`); nowhere else are they collected.

WARMUP_TEST_GPU=1 asks for the card. WARMUP_TEST_GPU=cpu is the dry form, which runs in CI: the same lines on a CPU at
tests/config.tiny.yaml's sizes, without what only a card can answer (its memory, waiting for it, its kernels' names).
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from warmup.config import configuration, grid
from warmup.cost import expected_data

ROOT = Path(__file__).resolve().parents[2]
ASKED = os.environ.get("WARMUP_TEST_GPU")

collect_ignore_glob = [] if ASKED else ["test_*.py"]


@pytest.fixture(scope="session")
def device() -> str:
    """Where the tests compute: "cuda", or "cpu" for the dry form."""
    return "cpu" if ASKED == "cpu" else "cuda"


@pytest.fixture(scope="session")
def settings(device: str) -> dict[str, Any]:
    """Effective settings of the paper's study; of the tiny one, in bfloat16 as on a card, for the dry form."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    if device == "cuda":
        return configuration.effective({**config, "scale": "paper"})
    tiny = configuration.merge(config, yaml.safe_load((ROOT / "tests" / "config.tiny.yaml").read_text()))
    return configuration.effective(configuration.merge(tiny, {"training": {"precision": "bfloat16"}}))


@pytest.fixture(scope="session")
def data(settings: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data of the three tasks, of the study's shapes and random content: <folder>/{language,images,series}."""
    root = tmp_path_factory.mktemp("random")
    for name, task in settings["tasks"].items():
        expected_data.fill(task, root / name)
    return root


@pytest.fixture(scope="session")
def settings_of(settings: Mapping[str, Any]) -> Callable[[str, str], dict[str, Any]]:
    """Function (architecture, task) -> settings of a run of that cell whose steps neither look nor probe."""

    def of(architecture: str, task: str) -> dict[str, Any]:
        run = grid.Run(architecture, task, "adamw", str(settings["warmups"][1]), "0")
        found = dict(grid.run_settings(settings, run))
        asleep = {
            name: {**entry, "enabled": False} if isinstance(entry, Mapping) else entry
            for name, entry in settings["probes"].items()
        }
        return {**found, "probes": asleep, "code": {}}

    return of
