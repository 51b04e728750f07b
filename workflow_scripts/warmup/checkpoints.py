"""Checkpoints of unfinished runs: atomic, checksummed, the previous one kept, one writer at a time.

They live in a folder that Snakemake does not own (it deletes declared outputs before a retry):
<checkpoints>/<digest of settings and code>/step-00000120.checkpoint, beside run.json, which says whose they are.
"""

import errno
import hashlib
import io
import logging
import pickle
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from warmup import records
from warmup.checkpoint_folders import ABOUT, digest, lock
from warmup.errors import EnvironmentProblemError

MAGIC = b"warmup-sweep checkpoint 1\n"
KEPT = 2
"""A checkpoint and the one before it."""

logger = logging.getLogger("warmup")


class Store:
    """The checkpoints of one run. Use as `with Store(...).locked() as store`."""

    def __init__(self, root: str | Path, settings: Mapping[str, Any]) -> None:
        self.digest = digest(settings)
        self.folder = Path(root) / self.digest
        self.coordinates = dict(settings["coordinates"])

    @contextmanager
    def locked(self) -> Iterator["Store"]:
        """Hold the folder's lock; it goes with the process, however that ends.

        Raises EnvironmentProblemError if another process is training this very run.
        """
        with lock(self.folder):
            records.write_json(self.coordinates, self.folder / ABOUT)
            yield self

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Write the state after `step` updates, durable before the oldest kept one goes.

        Raises EnvironmentProblemError if the disk is full; nothing half-written stays, the previous one stays.
        """
        buffer = io.BytesIO()
        torch.save({"digest": self.digest, "step": step, "state": dict(state)}, buffer)
        payload = buffer.getbuffer()
        checksum = hashlib.sha256(payload).hexdigest().encode()

        def write(temporary: Path) -> None:
            with temporary.open("wb") as stream:
                stream.write(MAGIC + checksum + b"\n")
                stream.write(payload)

        path = self.folder / f"step-{step:08d}.checkpoint"
        try:
            records.replace_atomically(path, write)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise EnvironmentProblemError(
                f"no room for a checkpoint of {len(payload) / 1e6:.0f} MB in {self.folder}: free some and start again; "
                f"training goes on from the previous checkpoint"
            ) from error
        for old in self._files()[KEPT:]:
            old.unlink()

    def load(self) -> tuple[int, dict[str, Any]] | None:
        """(step, state) of the newest whole checkpoint; None for a clean start. What cannot be used is logged."""
        for path in self._files():
            try:
                return self._read(path)
            except (ValueError, RuntimeError, OSError, EOFError, KeyError, pickle.UnpicklingError) as error:
                reason = str(error).splitlines()[0]
                logger.warning("checkpoint %s cannot be used (%s); taking the one before it", path.name, reason)
        return None

    def remove(self) -> None:
        """Delete the checkpoints of a finished run."""
        shutil.rmtree(self.folder)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.checkpoint"), reverse=True)

    def _read(self, path: Path) -> tuple[int, dict[str, Any]]:
        content = path.read_bytes()
        start = len(MAGIC) + 65
        if not content.startswith(MAGIC):
            raise ValueError("not a checkpoint of this program")
        if hashlib.sha256(content[start:]).hexdigest().encode() != content[len(MAGIC) : start - 1]:
            raise ValueError("truncated or altered: its checksum does not match")
        saved = torch.load(io.BytesIO(content[start:]), weights_only=True, map_location="cpu")
        if saved["digest"] != self.digest:
            raise ValueError("it belongs to other settings or other code")
        return saved["step"], saved["state"]
