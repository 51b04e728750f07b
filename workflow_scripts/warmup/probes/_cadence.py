"""Which steps are probed: every step at the start, then fewer and fewer."""

import math


def due_steps(steps: int, dense: float, points: int, until: float = 1.0) -> frozenset[int]:
    """Steps 0 .. round(dense x steps) - 1, then `points` steps log-spaced from there to the share `until` of the run.

    Log-spaced steps are rounded, so among the first few they fall together; the last one is always among them.
    """
    first = min(math.floor(dense * steps + 0.5), steps)
    chosen = set(range(first))
    start, end = math.log(first + 1), math.log(max(math.floor(until * steps + 0.5), first + 1))
    for point in range(points):
        share = point / (points - 1) if points > 1 else 0.0
        chosen.add(min(round(math.exp(start + share * (end - start))) - 1, steps - 1))
    return frozenset(chosen)


def nearest(due: frozenset[int], wanted: frozenset[int]) -> frozenset[int]:
    """For each step of `wanted` the nearest of `due` (the earlier of two): what such a step takes along."""
    return frozenset(min(due, key=lambda step: (abs(step - target), step)) for target in wanted) if due else due
