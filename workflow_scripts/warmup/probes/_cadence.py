"""Which steps are probed: every step at the start, then fewer and fewer."""

import math


def due_steps(steps: int, dense: float, points: int) -> frozenset[int]:
    """Steps 0 .. round(dense x steps) - 1, then `points` steps log-spaced from there to the last step.

    Log-spaced steps are rounded, so among the first few they fall together; the last step is always among them.
    """
    first = min(math.floor(dense * steps + 0.5), steps)
    chosen = set(range(first))
    start, end = math.log(first + 1), math.log(steps)
    for point in range(points):
        share = point / (points - 1) if points > 1 else 0.0
        chosen.add(min(round(math.exp(start + share * (end - start))) - 1, steps - 1))
    return frozenset(chosen)
