"""Starting and ending a process that imports torch and transformers, in less time; stopping it between two steps.

Importing thousands of modules allocates objects that stay; Python's cyclic garbage collector walks them again and again
meanwhile, and takes them all apart when the process ends. Leaving both out saves about a third of what a start costs
(`benchmarks/case_process_start.py`).
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def no_collection() -> Iterator[None]:
    """Leave out garbage collection inside, where modules are imported."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def quick_exit() -> Iterator[None]:
    """End the process after the block, with its exit status, all that was registered for the exit done and all streams
    flushed, but without taking every imported module apart. An exception other than SystemExit takes the usual way."""
    status = 0
    try:
        yield
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            raise  # a message that Python prints
        status = end.code or 0
    atexit._run_exitfuncs()  # among them logging.shutdown
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


class Signals:
    """SIGTERM and SIGINT noted while training, so that the loop can stop between two steps."""

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> Signals:
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
