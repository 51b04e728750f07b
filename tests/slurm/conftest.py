"""A test cluster for the session, and one study that nobody disturbs: what the disturbed ones are compared with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm.cluster import Cluster
from slurm.study import Study


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster with two devices. Fails, with what to install, where there is no SLURM."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def undisturbed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Four runs trained on two devices without any disturbance, by `profiles/slurm` and its example of partitions."""
    study = Study(cluster, tmp_path_factory.mktemp("study") / "undisturbed", "slurm", "drill_undisturbed")
    study.finish(study.start("--slurm-partition-config=tests/slurm/partitions.yaml"))
    return study


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a drill's study lives (not there yet)."""
    return tmp_path / "study"
