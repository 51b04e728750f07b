"""GPU leases, with pretended devices: an nvidia-smi of our own that lists UUIDs, and several processes."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from warmup.cluster import devices
from warmup.errors import EnvironmentProblemError

UUIDS = [f"GPU-{letter * 8}-0000-0000-0000-000000000000" for letter in "abc"]

HOLDER = """
import sys, time
from pathlib import Path
from warmup.cluster import devices
with devices.lease(Path(sys.argv[1])) as device:
    import os
    assert os.environ["CUDA_VISIBLE_DEVICES"] == device
    print(device, flush=True)
    time.sleep(float(sys.argv[2]))
print("done", flush=True)
"""


@pytest.fixture(autouse=True)
def three_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with three GPUs."""
    tools = tmp_path / "tools"
    tools.mkdir()
    listing = tools / "nvidia-smi"
    listing.write_text("#!/bin/sh\n" + "".join(f"echo {uuid}\n" for uuid in UUIDS))
    listing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts a process that leases a GPU for some seconds and prints its name, then "done"."""
    started: list[subprocess.Popen] = []

    def start(seconds: float, visible: str | None = None) -> subprocess.Popen:
        environment = dict(os.environ, PYTHONPATH=str(Path(devices.__file__).parents[2]))
        if visible is not None:
            environment["CUDA_VISIBLE_DEVICES"] = visible
        command = [sys.executable, "-c", HOLDER, str(tmp_path / "leases"), str(seconds)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def device_of(process: subprocess.Popen) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_jobs_side_by_side_get_different_devices(hold: Callable[..., subprocess.Popen]) -> None:
    assert sorted(device_of(process) for process in [hold(60), hold(60), hold(60)]) == UUIDS


def test_numbers_and_uuids_mean_the_same_device(hold: Callable[..., subprocess.Popen]) -> None:
    assert device_of(hold(60, "1")) == UUIDS[1]
    assert device_of(hold(60, "GPU-bbbb,GPU-cccc")) == UUIDS[2]


def test_a_fourth_job_waits_until_a_lease_ends(hold: Callable[..., subprocess.Popen]) -> None:
    short = hold(3)
    freed = device_of(short)
    for process in [hold(60), hold(60)]:
        device_of(process)
    began = time.monotonic()
    assert device_of(hold(60)) == freed
    assert short.wait() == 0
    assert time.monotonic() - began < 30


def test_the_lease_of_a_killed_job_is_free(hold: Callable[..., subprocess.Popen]) -> None:
    dead = hold(600, "2")
    assert device_of(dead) == UUIDS[2]
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    assert device_of(hold(60, "2")) == UUIDS[2]


def test_twenty_jobs_share_three_devices_without_ever_meeting(tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from warmup.cluster import devices
devices.POLL_SECONDS = 0.01
for _ in range(5):
    with devices.lease(Path(sys.argv[1])) as device:
        mark = Path(sys.argv[2]) / device
        mark.touch(exist_ok=False)
        time.sleep(0.01)
        mark.unlink()
"""
    marks = tmp_path / "marks"
    marks.mkdir()
    environment = dict(os.environ, PYTHONPATH=str(Path(devices.__file__).parents[2]))
    command = [sys.executable, "-c", script, str(tmp_path / "leases"), str(marks)]
    jobs = [subprocess.Popen(command, env=environment) for _ in range(20)]
    assert [job.wait(timeout=300) for job in jobs] == [0] * 20


def test_waiting_says_who_holds_the_devices(
    hold: Callable[..., subprocess.Popen], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    holder = hold(2, "0")
    device_of(holder)
    with (
        caplog.at_level(logging.INFO, "warmup"),
        devices.lease(tmp_path / "leases", {"CUDA_VISIBLE_DEVICES": "0"}) as device,
    ):
        assert device == UUIDS[0]
    waiting = [message for message in caplog.messages if "all GPUs are leased" in message]
    assert len(waiting) == 1
    assert f"{UUIDS[0]} by process {holder.pid}" in waiting[0]


def test_the_environment_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    with devices.lease(tmp_path) as device:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == device == UUIDS[2]
        assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,0"
    assert "CUDA_DEVICE_ORDER" not in os.environ


def test_a_failing_job_gives_its_lease_back(tmp_path: Path) -> None:
    only = {"CUDA_VISIBLE_DEVICES": "1"}
    with pytest.raises(ZeroDivisionError), devices.lease(tmp_path, only):
        _ = 1 / 0
    with devices.lease(tmp_path, only) as device:
        assert device == UUIDS[1]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (None, UUIDS),
        ("2,1", [UUIDS[2], UUIDS[1]]),
        ("0, 1", UUIDS[:2]),
        ("1,-1,0", [UUIDS[1]]),  # as in CUDA: nothing after an entry that names no device
        ("0,7,1", [UUIDS[0]]),
        (UUIDS[1], [UUIDS[1]]),
        ("GPU-cc,GPU-aa", [UUIDS[2], UUIDS[0]]),
        ("GPU-c,GPU-", [UUIDS[2]]),  # ambiguous
        ("MIG-11111111-2222", ["MIG-11111111-2222"]),
    ],
)
def test_visible_devices_are_read_as_cuda_reads_them(chosen: str | None, expected: list[str]) -> None:
    assert devices.visible({} if chosen is None else {"CUDA_VISIBLE_DEVICES": chosen}) == expected


@pytest.mark.parametrize("chosen", ["", "-1", "9", "NoDevFiles", "GPU-ffff"])
def test_no_visible_device_is_an_error_that_says_why(chosen: str, tmp_path: Path) -> None:
    with (
        pytest.raises(EnvironmentProblemError, match=r"training\.device is cuda, but CUDA_VISIBLE_DEVICES"),
        devices.lease(tmp_path, {"CUDA_VISIBLE_DEVICES": chosen}),
    ):
        pass


def test_numbers_serve_where_uuids_cannot_be_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_present", list)
    assert devices.visible({"CUDA_VISIBLE_DEVICES": "3,1"}) == ["3", "1"]


def test_leasing_does_not_import_torch() -> None:
    environment = dict(os.environ, PYTHONPATH=str(Path(devices.__file__).parents[2]))
    code = "import sys; from warmup.cluster import devices; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
