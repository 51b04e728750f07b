"""GPU leases: jobs that share a machine each get a device of their own.

Snakemake counts GPUs, it does not hand them out: two local jobs would both take the first. A lease is an advisory lock
(flock) on one file per device in a folder that all jobs of the machine share. The system drops the lock of a process
that dies, however it dies, so a dead holder's device is free at once. Devices are known by their UUID where nvidia-smi
tells it, so "0", an abbreviated UUID and the renumbered "0" inside a container or SLURM job mean the right device.
"""

import fcntl
import logging
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from warmup.errors import EnvironmentProblemError

POLL_SECONDS = 0.5
REMINDER_SECONDS = 300.0

logger = logging.getLogger("warmup")


@contextmanager
def lease(folder: Path | None = None, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Holds one visible GPU while open, waiting until one is free, and makes it the only one this process sees.

    Must be entered before CUDA is initialised: it sets CUDA_VISIBLE_DEVICES (and CUDA_DEVICE_ORDER, so that numbers
    mean what nvidia-smi says) and puts them back at the end. `folder`: where the lock files are, by default one in the
    temporary folder that all users of the machine share. `environment`: read instead of os.environ. Yields the
    device's name (UUID, or number if UUIDs are unknown). Raises EnvironmentProblemError if no GPU is visible.
    """
    devices = visible(os.environ if environment is None else environment)
    locks = _shared_folder() if folder is None else folder
    locks.mkdir(parents=True, exist_ok=True)
    device, descriptor = _wait_for_one(devices, locks)
    before = {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")}
    os.environ.update(CUDA_VISIBLE_DEVICES=device, CUDA_DEVICE_ORDER="PCI_BUS_ID")
    logger.info("GPU %s leased (%d visible)", device, len(devices))
    try:
        yield device
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        os.ftruncate(descriptor, 0)
        os.close(descriptor)  # drops the lock


def visible(environment: Mapping[str, str]) -> list[str]:
    """Names of the GPUs that CUDA would show under `environment`, in its order: UUIDs, or numbers if UUIDs are unknown.

    CUDA_VISIBLE_DEVICES lists numbers, UUIDs or their beginnings; as in CUDA, the list ends at the first entry that
    names no device (-1, a number too high), and an empty list shows none. Raises EnvironmentProblemError if nothing is
    left.
    """
    present = _present()
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        found = list(present)
    else:
        found = []
        for entry in (part.strip() for part in chosen.split(",")):
            device = _named(entry, present)
            if device is None or device in found:
                break
            found.append(device)
    if not found:
        reason = (
            "no NVIDIA GPU was found on this machine"
            if not present and chosen is None
            else f"CUDA_VISIBLE_DEVICES is {chosen!r}, which shows none of this machine's GPUs"
        )
        raise EnvironmentProblemError(
            f"training.device is cuda, but {reason}; run on a machine with a GPU, correct CUDA_VISIBLE_DEVICES, or set "
            "training.device to cpu"
        )
    return found


def _named(entry: str, present: Sequence[str]) -> str | None:
    """The device that an entry of CUDA_VISIBLE_DEVICES names."""
    if re.fullmatch(r"\d+", entry):
        number = int(entry)
        return (present[number] if number < len(present) else None) if present else str(number)
    if entry.startswith("MIG-"):
        return entry  # a slice of a GPU, not listed among whole GPUs
    if entry.startswith("GPU-"):
        matches = [device for device in present if device.startswith(entry)]
        return matches[0] if len(matches) == 1 else (None if matches or present else entry)
    return None


def _present() -> list[str]:
    """GPUs of this machine (or container), in nvidia-smi's order; empty if there are none or none can be listed."""
    if shutil.which("nvidia-smi"):
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"], capture_output=True, text=True, check=False
        )
        if answer.returncode == 0:
            return [line.strip() for line in answer.stdout.splitlines() if line.strip()]
    return sorted((path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")), key=int)


def _shared_folder() -> Path:
    """Lock folder of this machine, writable by every user, as GPUs are shared by all of them."""
    folder = Path(tempfile.gettempdir()) / "warmup-sweep-gpu-leases"
    try:
        folder.mkdir()
    except FileExistsError:
        return folder
    folder.chmod(0o1777)
    return folder


def _wait_for_one(devices: Sequence[str], folder: Path) -> tuple[str, int]:
    """The first free device and the descriptor that holds its lock; says when it has to wait, and for whom."""
    started = time.monotonic()
    spoken: float | None = None
    while True:
        for device in devices:
            descriptor = _locked(folder / f"{re.sub(r'[^A-Za-z0-9-]', '_', device)}.lock")
            if descriptor is not None:
                return device, descriptor
        now = time.monotonic()
        if spoken is None or now - spoken >= REMINDER_SECONDS:
            holders = ", ".join(f"{device} by process {_holder(folder, device)}" for device in devices)
            logger.info("all GPUs are leased (%s); waiting, %.0f s so far", holders, now - started)
            spoken = now
        time.sleep(POLL_SECONDS)


def _locked(path: Path) -> int | None:
    """Descriptor of the lock file, locked and with this process's number in it; None if another process holds it."""
    try:
        # Without O_CREAT first: Linux may refuse it for another user's file in a folder that all can write to.
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        os.fchmod(descriptor, 0o666)  # whatever the umask: other users take the same lock
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _holder(folder: Path, device: str) -> str:
    """Number of the process that holds a device, as it wrote it into the lock file."""
    try:
        return (folder / f"{re.sub(r'[^A-Za-z0-9-]', '_', device)}.lock").read_text().strip() or "?"
    except OSError:
        return "?"
