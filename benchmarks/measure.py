"""What benchmark cases share: rows of the table, interleaved timing, the machine's peaks.

A case is a module `case_<name>.py` with a function `rows(machine: Machine) -> Iterator[Row]`; run.py finds it by its
file name and runs it in a process of its own. Contenders of a case run by turns in that process, so that both see the
same machine; ratios are those of neighbours in time, and their median is reported.
"""

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow_scripts"))


@dataclass(frozen=True)
class Row:
    """One line of the table: how many times `peer`'s time is ours (or the reverse, if `slower`), and what was asked."""

    case: str
    ours: str
    peer: str
    ratio: float
    smallest: float
    largest: float
    goal: float | None
    slower: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the goal; None without one."""
        if self.goal is None:
            return None
        return self.ratio <= self.goal if self.slower else self.ratio >= self.goal

    def as_dict(self) -> dict[str, Any]:
        """Fields and verdict, for JSON."""
        return {**asdict(self), "met": self.met}


def interleaved(
    contenders: Mapping[str, Callable[[], object]], rounds: int, warmups: int = 1
) -> dict[str, list[float]]:
    """Seconds of each contender in each round; contenders take turns, the order reversed from round to round."""
    for contender in contenders.values():
        for _ in range(warmups):
            contender()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds):
        names = list(contenders)
        for name in names if turn % 2 == 0 else reversed(names):
            started = time.perf_counter()
            contenders[name]()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def times_faster(case: str, seconds: Mapping[str, list[float]], ours: str, peer: str, goal: float | None) -> Row:
    """Row: seconds of `peer` over ours, round by round."""
    ratios = [theirs / own for theirs, own in zip(seconds[peer], seconds[ours], strict=True)]
    return Row(
        case, _label(ours, seconds), _label(peer, seconds), statistics.median(ratios), min(ratios), max(ratios), goal
    )


def share_of(case: str, seconds: Mapping[str, list[float]], ours: str, peer: str, goal: float | None) -> Row:
    """Row: our seconds over those of `peer`, round by round; smaller is better."""
    ratios = [own / theirs for theirs, own in zip(seconds[peer], seconds[ours], strict=True)]
    median = statistics.median(ratios)
    return Row(case, _label(ours, seconds), _label(peer, seconds), median, min(ratios), max(ratios), goal, slower=True)


def times_floor(case: str, seconds: Mapping[str, list[float]], ours: str, floor: float, goal: float | None) -> Row:
    """Row: our seconds over the least the machine could take; smaller is better."""
    ratios = [own / floor for own in seconds[ours]]
    label = f"floor {_duration(floor)}"
    return Row(
        case, _label(ours, seconds), label, statistics.median(ratios), min(ratios), max(ratios), goal, slower=True
    )


def single(case: str, ours: str, peer: str, ratio: float, goal: float | None) -> Row:
    """Row of a ratio that was measured elsewhere, as one number; smaller is better."""
    return Row(case, ours, peer, ratio, ratio, ratio, goal, slower=True)


def _label(name: str, seconds: Mapping[str, list[float]]) -> str:
    return f"{name} {_duration(statistics.median(seconds[name]))}"


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.2f} ms"


class Machine:
    """Threads to use, and peaks measured on them when first asked for."""

    def __init__(self, threads: int, rounds: int) -> None:
        import torch

        self.threads = threads
        self.rounds = rounds
        torch.set_num_threads(threads)

    @cached_property
    def bytes_per_second(self) -> float:
        """Memory traffic of a sum of two large arrays into a third (two reads, a write), the best of several."""
        import torch

        a, b, c = (torch.ones(1 << 25) for _ in range(3))
        seconds = interleaved({"triad": lambda: torch.add(a, b, out=c)}, rounds=10, warmups=2)["triad"]
        return 3 * a.numel() * a.element_size() / min(seconds)

    @cached_property
    def flops_per_second(self) -> float:
        """Fused multiply-adds in registers (two operations each), float32, on all threads, the best of several."""
        from benchmarks import peak

        return peak.flops_per_second(self.threads)

    def floor(self, *, flops: float, bytes_moved: float) -> float:
        """Seconds below which the work cannot be done: the longer of computing and moving."""
        return max(flops / self.flops_per_second, bytes_moved / self.bytes_per_second)
