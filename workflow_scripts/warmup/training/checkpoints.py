"""Checkpoints of unfinished runs: atomic, checksummed, the previous one kept, one writer at a time.

They live in a folder that Snakemake does not own (it deletes declared outputs before a retry):
<checkpoints>/<digest of settings and code>/step-00000120.checkpoint, beside run.json, which says whose they are. Store
reads and writes them; Writer has a thread do the writing, so that training waits for a copy of the state alone. The
last checkpoint of a run that others continue has the same form, and stands among the files of that run.
"""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import pickle
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy as shallow
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import torch

from warmup import files
from warmup.errors import EnvironmentProblemError
from warmup.training.checkpoint_folders import ABOUT, digest, lock

if TYPE_CHECKING:
    from warmup.settings import RunSettings

MAGIC = b"warmup-sweep checkpoint 1\n"
CHECKSUM = 64
"""Characters of a SHA-256, in hexadecimal."""
KEPT = 2
"""A checkpoint and the one before it."""

logger = logging.getLogger("warmup")


def write(path: Path, digest: str, step: int, state: Mapping[str, Any]) -> None:
    """Write the checkpoint `path`: the state after `step` updates of the run with this digest, whole or not at all."""

    def fill(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            stream.write(MAGIC + b"0" * CHECKSUM + b"\n")
            hashing = _Hashing(stream)
            try:
                torch.save({"digest": digest, "step": step, "state": dict(state)}, hashing)  # type: ignore[arg-type]
            except RuntimeError as error:  # torch closes its archive over the error and fails in turn
                raise hashing.error or error from None
            stream.seek(len(MAGIC))
            stream.write(hashing.checksum.hexdigest().encode())

    files.replace_atomically(path, fill)


def read(path: Path, digest: str) -> tuple[int, dict[str, Any]]:
    """(step, state) of a checkpoint of the run with this digest. Raises ValueError where it is another's or damaged."""
    with path.open("rb") as stream:
        head = stream.read(len(MAGIC) + CHECKSUM + 1)
        if not head.startswith(MAGIC):
            raise ValueError("not a checkpoint of this program")
        if hashlib.file_digest(stream, "sha256").hexdigest().encode() != head[len(MAGIC) : -1]:
            raise ValueError("truncated or altered: its checksum does not match")
        saved = torch.load(_Rest(stream, len(head)), weights_only=True, map_location="cpu")  # type: ignore[arg-type]
    if saved["digest"] != digest:
        raise ValueError("it belongs to other settings or other code")
    return saved["step"], saved["state"]


class Store:
    """The checkpoints of one run. Use as `with Store(...).locked() as store`."""

    def __init__(self, root: str | Path, settings: RunSettings) -> None:
        self.digest = digest(settings)
        self.folder = Path(root) / self.digest
        self.coordinates = dict(settings["coordinates"])

    @contextmanager
    def locked(self) -> Iterator[Store]:
        """Hold the folder's lock; it goes with the process, however that ends.

        Raises EnvironmentProblemError if another process is training this very run.
        """
        with lock(self.folder):
            files.write_json(self.coordinates, self.folder / ABOUT)
            yield self

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Write the state after `step` updates, durable before the oldest kept one goes.

        Raises EnvironmentProblemError if the disk is full; nothing half-written stays, the previous one stays.
        """

        path = self.folder / f"step-{step:08d}.checkpoint"
        try:
            write(path, self.digest, step, state)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise EnvironmentProblemError(
                f"no room for a checkpoint of {_size(state) / 1e6:.0f} MB in {self.folder}: free some and start again; "
                f"training goes on from the previous checkpoint"
            ) from error
        for old in self._files()[KEPT:]:
            old.unlink()

    def load(self) -> tuple[int, dict[str, Any]] | None:
        """(step, state) of the newest whole checkpoint; None for a clean start. What cannot be used is logged."""
        for path in self._files():
            try:
                return read(path, self.digest)
            except (ValueError, RuntimeError, OSError, EOFError, KeyError, pickle.UnpicklingError) as error:
                reason = str(error).splitlines()[0]
                logger.warning("checkpoint %s cannot be used (%s); taking the one before it", path.name, reason)
        return None

    def remove(self) -> None:
        """Delete the checkpoints of a finished run, the newest last: a kill in between loses only older ones."""
        for path in reversed(self._files()):
            path.unlink()
        shutil.rmtree(self.folder)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.checkpoint"), reverse=True)


class Writer:
    """Saves checkpoints while training goes on. Use as `with Writer(store) as writer`; leaving waits for the last one.

    One is written at a time: a save waits for the one before it. What fails in the thread is raised in the training, by
    the next `save`, `wait` or, at every step, `raise_failure`; a failed one leaves the checkpoint before it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown()
        try:
            self.wait()
        except Exception as error:
            if kind is None:
                raise
            logger.error("the last checkpoint was not written either: %s", error)

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Copy `state` to the host and have it written as after `step` updates, as Store.save does.

        From a GPU the copy is made behind the work it has been given, into pinned memory, and not waited for here.
        """
        self.wait()
        kept = copied(state)
        arrived = torch.cuda.Event() if torch.cuda.is_initialized() else None
        if arrived is not None:
            arrived.record()

        def write() -> None:
            if arrived is not None:
                arrived.synchronize()
            self._store.save(step, kept)

        self._writing = self._thread.submit(write)

    def wait(self) -> None:
        """Return when what was to be saved is on the disk; raises what went wrong."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def raise_failure(self) -> None:
        """Raise what went wrong in the thread, if anything did; waits for nothing."""
        if self._writing is not None and self._writing.done():
            self.wait()


def copied(state: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a checkpoint's state that training cannot change, tensors on the host.

    Tensors that share memory still do, so that it is written once. Dictionaries are copied all the way down, lists as
    lists: their rows are never changed once they are there.
    """
    made: dict[tuple[Any, ...], torch.Tensor] = {}

    def copy(part: Any) -> Any:
        if isinstance(part, dict):
            same = shallow(part)  # an OrderedDict of torch has its versions as an attribute
            same.update((key, copy(value)) for key, value in part.items())
            return same
        if not isinstance(part, torch.Tensor):
            return list(part) if isinstance(part, list) else part
        place = (part.untyped_storage().data_ptr(), part.storage_offset(), part.shape, part.stride(), part.dtype)
        if part.numel() == 0 or place not in made:
            made[place] = part.detach().to("cpu", non_blocking=True, copy=True)
        return made[place]

    whole: dict[str, Any] = copy(dict(state))
    return whole


class _Hashing:
    """What is written goes to `stream` and into a checksum: a checkpoint is never in memory as a whole."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.checksum = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        self.checksum.update(data)
        try:
            return self.stream.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.stream.flush()


class _Rest(io.RawIOBase):
    """A file from byte `start` on, to be read and sought like a file of its own."""

    def __init__(self, stream: BinaryIO, start: int) -> None:
        self.stream, self.start = stream, start
        stream.seek(start)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self.stream.readinto(buffer)  # type: ignore[attr-defined]

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.stream.seek(offset + self.start if whence == io.SEEK_SET else offset, whence) - self.start

    def tell(self) -> int:
        return self.stream.tell() - self.start


def _size(state: Any) -> int:
    """Bytes of all tensors in `state`."""
    if isinstance(state, torch.Tensor):
        return state.numel() * state.element_size()
    parts = state.values() if isinstance(state, Mapping) else state if isinstance(state, list | tuple) else ()
    return sum(map(_size, parts))
