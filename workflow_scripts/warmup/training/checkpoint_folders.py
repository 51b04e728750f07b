"""Folders of checkpoints: whose they are, who writes into them, and which of them nobody needs any more.

Standard library only, since the Snakefile imports it. What lies in a folder is the business of checkpoints.py.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup.errors import EnvironmentProblemError

if TYPE_CHECKING:
    from warmup.settings import RunSettings

LAST = "last.checkpoint"
"""File of a run that others continue: its weights and its optimiser's state after the last step."""
ABOUT = "run.json"
"""File with the coordinates of the run that a folder belongs to."""


def digest(settings: Mapping[str, Any]) -> str:
    """Digest of a run's settings and code: the name of its folder."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:24]


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, made if it is missing; the lock goes with the process, however that ends.

    Raises EnvironmentProblemError if another process holds it, which is training this very run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lock"
    with path.open("a+") as stream:
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            raise EnvironmentProblemError(
                f"this run is being trained by another process ({holder}); wait for it or end it (lock: {path})"
            ) from error
        stream.truncate(0)
        stream.write(f"{os.uname().nodename}, process {os.getpid()}")
        stream.flush()
        yield


@dataclass(frozen=True)
class Orphan:
    """A folder that no present run would resume from: `run` its coordinates, `size` in bytes."""

    folder: Path
    run: RunSettings
    size: int

    def __str__(self) -> str:
        run = "/".join(f"{axis}={value}" for axis, value in self.run.items())
        return f"{self.folder} ({self.size / 1e6:,.1f} MB): {run}"


def orphans(root: str | Path, live: set[str], scale: str) -> list[Orphan]:
    """Folders of the scale's runs whose digest is not in `live`: their settings or their code have changed since."""
    found = []
    for folder in sorted(Path(root).glob("*/")):
        about = folder / ABOUT
        if folder.name in live or not about.exists():
            continue
        run = json.loads(about.read_text())
        if run.get("scale") == scale:
            found.append(Orphan(folder, run, sum(file.stat().st_size for file in folder.iterdir())))
    return found


def remove(orphan: Orphan) -> None:
    """Delete the folder. Raises EnvironmentProblemError if a process is training that run."""
    with lock(orphan.folder):
        shutil.rmtree(orphan.folder)
