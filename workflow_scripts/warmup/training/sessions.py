"""The sessions of a run: which process trained which of its steps, where, when and for how long.

A run that is interrupted keeps them in its checkpoints: its time is that of all its steps, and its history can be read
from one file, whatever became of the jobs' own logs.
"""

import os
import resource
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any


class Sessions:
    """The session of this process, and those before it whose steps stand. Times in UTC; `seconds` of wall time.

    A session that was killed ends, here, with its last checkpoint: the steps after it were trained again by the next.
    """

    def __init__(self) -> None:
        self._earlier: list[dict[str, Any]] = []
        self._first_step = 0
        self._began = datetime.now(UTC)
        self._started = time.monotonic()

    def resume(self, earlier: Sequence[Mapping[str, Any]], step: int) -> None:
        """Go on after `earlier`, as a checkpoint written after `step` updates holds them."""
        self._earlier = [dict(session) for session in earlier]
        self._first_step = step

    def until(self, step: int) -> list[dict[str, Any]]:
        """All sessions in order, this one as if it ended now, after update number `step` (counted from 1)."""
        now = {
            "first_step": self._first_step,
            "last_step": step,
            "began": self._began.isoformat(timespec="milliseconds"),
            "ended": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "seconds": time.monotonic() - self._started,
            "host": os.uname().nodename,
            "process": os.getpid(),
            "slurm_job": os.environ.get("SLURM_JOB_ID"),
            "visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
        }
        return [*self._earlier, now]


def used_by_this_process() -> dict[str, float]:
    """Processor time and largest memory. Of a warm start Snakemake's own benchmark sees the client alone."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"processor_seconds": usage.ru_utime + usage.ru_stime, "peak_memory_mb": usage.ru_maxrss / 1024}
