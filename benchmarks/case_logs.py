"""Logs of the full study: their size, and seconds for the spike ratios of all 840 runs (synthesise_logs.py)."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import synthesise_logs
from benchmarks.measure import Machine, Row, single

RUNS, STEPS, GROUPS = 16, 50_000, 70
SIZE_GOAL, SECONDS_GOAL = 0.8, 90.0


def rows(machine: Machine) -> Iterator[Row]:
    """Bytes over raw float32; seconds of 840 runs, scaled up from a few, over the limit."""
    with tempfile.TemporaryDirectory() as folder:
        found = synthesise_logs.measure(RUNS, STEPS, GROUPS, Path(folder), machine.threads, 3)
    yield single("log of 50,000 steps", "files.py", "raw float32", found["log_of_raw_float32"], SIZE_GOAL)
    seconds = found["seconds_for_840"]
    yield single(
        "spike ratios of 840 runs", f"{seconds:.0f} s", f"limit {SECONDS_GOAL:.0f} s", seconds / SECONDS_GOAL, 1.0
    )
