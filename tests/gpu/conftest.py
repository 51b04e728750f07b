"""Tests for a machine with an NVIDIA GPU (`make test-gpu`); nowhere else are they collected.

WARMUP_TEST_GPU=1 asks for the card. WARMUP_TEST_GPU=cpu is the dry form, which runs in CI: the same lines on a CPU at
tests/config.tiny.yaml's sizes, without what only a card can answer (its memory, waiting for it, its kernels' names).
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
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
    draws = np.random.default_rng(0)
    for name, task in settings["tasks"].items():
        (root / name).mkdir()
        with expected_data.folder(task, Path("/nowhere")) as (shapes, _):
            facts = json.loads((shapes / "data.json").read_text())
            picture = np.load(shapes / "train_images.npy").shape[1:] if task["kind"] == "classification" else ()
        (root / name / "data.json").write_text(json.dumps(facts))
        for part in ("train", "validation"):
            for array, values in _random(task, facts, picture, part, draws).items():
                np.save(root / name / f"{array}.npy", values)
    return root


def _random(
    task: Mapping[str, Any], facts: Mapping[str, Any], picture: tuple[int, ...], part: str, draws: np.random.Generator
) -> dict[str, Any]:
    if task["kind"] == "language":
        length = 100 * task["sequence_length"]
        return {part: draws.integers(0, facts["vocabulary"]["size"], length, dtype=np.uint16)}
    if task["kind"] == "classification":
        return {
            f"{part}_images": draws.integers(0, 256, (256, *picture), dtype=np.uint8),
            f"{part}_labels": draws.integers(0, len(facts["classes"]), 256),
        }
    return {part: draws.normal(size=(1000, len(facts["channels"]))).astype(np.float32)}


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
