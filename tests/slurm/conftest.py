"""A test cluster for the session, and one study that nobody disturbs: what the disturbed ones are compared with."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slurm.cluster import Cluster
from slurm.study import TWO_RUNS, Study


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker takes all tests of this folder: there is one cluster on the machine."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("cluster"))


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
    study = Study(cluster, tmp_path_factory.mktemp("study") / "undisturbed", "slurm", ("train_all",))
    study.finish(study.start("--slurm-partition-config=tests/slurm/partitions.yaml"))
    return study


@pytest.fixture
def drill(undisturbed: Study, tmp_path: Path) -> Iterator[Callable[[str], Study]]:
    """Makes the study of a drill: `drill("slurm")` has two runs to train, through that profile."""
    made: list[Study] = []

    def make(profile: str) -> Study:
        made.append(undisturbed.without_runs(tmp_path / "study", profile, TWO_RUNS))
        return made[-1]

    yield make
    for study in made:
        study.stop()
