"""The workflow through the real executor plugin on a real cluster, undisturbed."""

from itertools import combinations
from pathlib import Path

import pytest

from slurm.cluster import GPUS, Cluster
from slurm.study import TWO_RUNS, Study

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # the first test waits for the undisturbed study too


def test_study_completes(undisturbed: Study) -> None:
    assert len(undisturbed.files("summary.json")) == 4
    assert all(len(pieces) == 1 and pieces[0].finished for pieces in undisturbed.pieces().values())


def test_a_study_in_another_directory_than_the_checkout(cluster: Cluster, tmp_path: Path) -> None:
    """Jobs run in --directory; the profile's prologue, the code and the configuration are in the checkout."""
    study, elsewhere = Study(cluster, tmp_path / "checkout", "slurm-preemptible", TWO_RUNS[:1]), tmp_path / "elsewhere"
    try:
        study.finish(study.start(f"--directory={elsewhere}"))
    finally:
        study.stop()
    assert (elsewhere / TWO_RUNS[0]).is_file()
    assert not (study.folder / "results").exists() and not (study.folder / "checkpoints").exists()


def test_no_checkpoint_is_left(undisturbed: Study) -> None:
    assert list(undisturbed.folder.glob("checkpoints/*/*")) == []


def test_each_job_sees_one_device_of_its_own(undisturbed: Study) -> None:
    sessions = [session for found in undisturbed.sessions().values() for session in found]
    assert {session.device for session in sessions} <= {str(index) for index in range(GPUS)}, sessions
    for one, other in combinations(sessions, 2):
        if one.began < other.ended and other.began < one.ended:
            assert one.device != other.device, f"{one} and {other} trained at the same time on one device"


def test_two_devices_are_kept_busy(undisturbed: Study) -> None:
    sessions = [session for found in undisturbed.sessions().values() for session in found]
    assert len({session.device for session in sessions}) == GPUS
    pairs = combinations(sessions, 2)
    assert any(one.began < other.ended and other.began < one.ended for one, other in pairs), sessions


def test_only_trainings_go_to_the_partition_with_devices(undisturbed: Study) -> None:
    partitions = undisturbed.partitions()
    assert partitions.pop("train") == {"spot"}
    assert partitions and set().union(*partitions.values()) == {"cpu"}, partitions
