"""Where clients and the process of their study meet: a socket in a folder that only this user may enter.

A study is one start of Snakemake, told by its process. The name of the socket holds that process and the identity of
what it may serve: interpreter, installed packages, code, and all that cannot be taken over from a client.
"""

import hashlib
import json
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from warmup.errors import EnvironmentProblemError
from warmup.provenance import code_state
from warmup.training.warm import surroundings

STUDY = "WARMUP_SWEEP_STUDY"
"""Environment variable with the process number of the Snakemake that runs the study."""

LONGEST_PATH = 107
"""Bytes of a unix socket's path on Linux, the closing zero left out."""


@dataclass(frozen=True)
class Address:
    """Files of one study's process in the private folder; `study` is the process of Snakemake."""

    study: int
    stem: Path

    @property
    def socket(self) -> Path:
        """What clients connect to; there while orders are taken."""
        return self.stem.with_suffix(".socket")

    @property
    def lock(self) -> Path:
        """Locked by the process that owns the socket."""
        return self.stem.with_suffix(".lock")

    @property
    def log(self) -> Path:
        """What the process has to say."""
        return self.stem.with_suffix(".log")

    @property
    def gone(self) -> Path:
        """There once the process has ended unasked: trainings of the study start cold from then on."""
        return self.stem.with_suffix(".gone")


def announce_study() -> None:
    """Tell the jobs that this process starts whose study they belong to."""
    os.environ[STUDY] = str(os.getpid())


def find() -> Address:
    """The address for orders of this process. Raises EnvironmentProblemError where there can be none."""
    study = os.environ.get(STUDY, "")
    began = began_at(int(study)) if study.isdecimal() else None
    if began is None:
        raise EnvironmentProblemError("no Snakemake is known whose end could be noticed")
    identity = json.dumps({"code": code_state.state(), **surroundings.fixed()}, sort_keys=True)
    stem = private_folder() / f"{study}-{began}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    address = Address(int(study), stem)
    if len(os.fsencode(address.socket)) > LONGEST_PATH:
        raise EnvironmentProblemError(f"{address.socket} is too long for a socket; set TMPDIR to a shorter path")
    return address


def began_at(process: int) -> str | None:
    """When a process began, in clock ticks after the machine did: tells it from a later one of its number. None if it
    has ended."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    fields = status.rpartition(")")[2].split()  # the name of the program, in brackets, may hold anything
    return None if fields[0] in "ZX" else fields[19]


def private_folder() -> Path:
    """Folder of this user on this machine, closed to others, made if it is missing.

    Raises EnvironmentProblemError if something else stands in its place.
    """
    folder = Path(tempfile.gettempdir()) / f"warmup-sweep-{os.getuid()}-private"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700:
        raise EnvironmentProblemError(f"{folder} is not a folder that only this user may enter (mode 0700)")
    return folder


def sweep(folder: Path) -> None:
    """Remove what studies that have ended left behind."""
    for file in folder.iterdir():
        study, _, rest = file.name.partition("-")
        if study.isdecimal() and began_at(int(study)) != rest.partition("-")[0]:
            file.unlink(missing_ok=True)
