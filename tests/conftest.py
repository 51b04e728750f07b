"""What tests share: small prepared data of every kind, effective settings, and run settings."""

import copy
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow_scripts"))

from warmup import files  # noqa: E402
from warmup.config import configuration, grid  # noqa: E402

WARM = b"warmup.training.warm.server"
"""Word on the command line of a process that starts trainings."""


def pytest_configure() -> None:
    """Mark all processes that these tests start, so that one left over can be told from those of other tests."""
    os.environ.setdefault("WARMUP_SWEEP_TESTS", f"{os.getpid()}-{time.time()}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail if a process that starts trainings has outlived its study."""
    if hasattr(session.config, "workerinput"):
        return  # the controller looks, once all workers have ended
    deadline = time.monotonic() + 10
    while (left := _left_over()) and time.monotonic() < deadline:
        time.sleep(0.1)
    if left:
        print(f"\nwarm processes outlived their studies: {left}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _left_over() -> list[int]:
    mark = f"WARMUP_SWEEP_TESTS={os.environ['WARMUP_SWEEP_TESTS']}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if WARM in (entry / "cmdline").read_bytes() and mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return REPOSITORY


@pytest.fixture
def config() -> dict[str, Any]:
    """config.yaml as Snakemake reads it."""
    return copy.deepcopy(_read("config.yaml"))


@pytest.fixture
def tiny_config() -> dict[str, Any]:
    """config.yaml with tests/config.tiny.yaml over it."""
    return configuration.merge(_read("config.yaml"), _read("tests/config.tiny.yaml"))


@pytest.fixture
def tiny(tiny_config: dict[str, Any]) -> dict[str, Any]:
    """Effective settings of the tiny scale."""
    return configuration.effective(tiny_config)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data of the three tasks, made up but of the real format: <folder>/{language,images,series}."""
    root = tmp_path_factory.mktemp("data")
    draws = np.random.default_rng(0)
    _prepared(
        root / "language",
        {"vocabulary": {"name": "bytes", "size": 256, "separator": 0}},
        {part: draws.integers(97, 123, 4000, dtype=np.uint8) for part in ("train", "validation", "test")},
    )
    images = {
        f"{part}_images": draws.integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
        for part in ("train", "validation", "test")
    }
    labels = {f"{part}_labels": draws.integers(0, 4, 40) for part in ("train", "validation", "test")}
    _prepared(root / "images", {"classes": ["a", "b", "c", "d"]}, images | labels)
    _prepared(
        root / "series",
        {"channels": ["x", "y", "z"], "mean": [0, 0, 0], "scale": [1, 1, 1]},
        {part: draws.normal(size=(200, 3)).astype(np.float32) for part in ("train", "validation", "test")},
    )
    return root


@pytest.fixture
def run_settings(tiny_config: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Function (architecture, task, recipe, warmup, seed, **changes of the top level) -> settings of a run."""

    def settings(
        architecture: str = "gpt2",
        task: str = "language",
        recipe: str = "adamw",
        warmup: str = "0.25",
        seed: str = "0",
        **changes: Any,
    ) -> dict[str, Any]:
        effective = configuration.effective(configuration.merge(tiny_config, changes))
        run = grid.Run(architecture, task, recipe, warmup, seed)
        return {**grid.run_settings(effective, run), "code": {}}

    return settings


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch computes with one thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _read(path: str) -> dict[str, Any]:
    return yaml.safe_load((REPOSITORY / path).read_text())


def _prepared(folder: Path, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    folder.mkdir()
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    files.write_json(facts, folder / "data.json")
