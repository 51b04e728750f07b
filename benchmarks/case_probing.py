"""Probing at the default cadence, as a share of a whole laptop run's processor time (probes.py)."""

import statistics
from collections.abc import Iterator

from benchmarks import probes
from benchmarks.measure import Machine, Row

GOAL = 0.05
ROUNDS = 3


def rows(machine: Machine) -> Iterator[Row]:
    """A row for each architecture of the study."""
    del machine
    for architecture in ("gpt2", "mamba", "jamba", "rwkv"):
        shares = [probes.share(architecture) for _ in range(ROUNDS)]
        median = statistics.median(shares)
        case = f"{architecture}: probing"
        yield Row(case, "all probes", "laptop run", median, min(shares), max(shares), GOAL, slower=True)
