"""The workflow through the real executor plugin on a real cluster, undisturbed."""

from itertools import combinations

import pytest

from slurm.cluster import GPUS
from slurm.study import Study, overlap

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # the first test waits for the undisturbed study too


def test_study_completes(undisturbed: Study) -> None:
    assert len(undisturbed.files("summary.json")) == 4
    assert all(len(pieces) == 1 and pieces[0].finished for pieces in undisturbed.pieces().values())


def test_no_checkpoint_is_left(undisturbed: Study) -> None:
    assert list(undisturbed.folder.glob("checkpoints/*/*")) == []


def test_each_job_sees_one_device_of_its_own(undisturbed: Study) -> None:
    devices = {run: str(facts["visible_devices"]) for run, facts in undisturbed.resources().items()}
    assert set(devices.values()) <= {str(index) for index in range(GPUS)}, devices
    for (one, first), (other, second) in combinations(undisturbed.pieces().items(), 2):
        if overlap(first[0], second[0]):
            assert devices[one] != devices[other], f"{one} and {other} trained at the same time on one device"


def test_two_devices_are_kept_busy(undisturbed: Study) -> None:
    devices = {run: facts["visible_devices"] for run, facts in undisturbed.resources().items()}
    assert len(set(devices.values())) == GPUS
    pairs = combinations(undisturbed.pieces().values(), 2)
    assert any(overlap(one[0], other[0]) for one, other in pairs), "no two trainings ran at the same time"


def test_only_trainings_go_to_the_partition_with_devices(undisturbed: Study) -> None:
    partitions = undisturbed.partitions()
    assert partitions.pop("train") == {"spot"}
    assert partitions and set().union(*partitions.values()) == {"cpu"}, partitions
