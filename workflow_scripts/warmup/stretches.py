"""Stretches of the validation examples: what the sampling error of a validation loss is reckoned from.

Examples cut from one text or series overlap, or stand side by side, so that their losses go together and the spread of
single ones understates the error of their mean. Means over consecutive stretches, each longer than what an example
covers, are nearly independent (batch means; Schmeiser 1982).
"""

import numpy as np
from numpy.typing import NDArray

MOST = 50
"""Stretches of a text or series, at most; a standard error from 50 is itself known to a tenth."""

LENGTH = 2
"""Lengths of an example's targets that a stretch has at least. Where losses of neighbours fade linearly over one such
length, the variance then comes out too small by a sixth."""


def count(examples: int, rows: int, target_rows: int | None) -> int:
    """Stretches into which `examples`, evenly spread over `rows` rows of a source, fall; at least 1.

    target_rows: rows that an example's targets cover; None where examples share nothing, so that each is a stretch.
    """
    if target_rows is None:
        return examples
    return max(1, min(MOST, examples, rows // (LENGTH * target_rows)))


def means(losses: NDArray[np.floating], stretches: int) -> NDArray[np.float64]:
    """Means [..., stretches] of `losses` [..., examples] over as many consecutive stretches of nearly equal size."""
    edges = np.linspace(0, losses.shape[-1], stretches + 1).round().astype(np.int64)
    sums = np.add.reduceat(losses.astype(np.float64), edges[:-1], axis=-1)
    return np.asarray(sums / np.diff(edges), dtype=np.float64)


def standard_error(losses: NDArray[np.floating], stretches: int) -> float:
    """Standard error of the mean of `losses` [examples] over other examples of the same source; NaN for one stretch."""
    if stretches < 2:
        return float("nan")
    return float(means(losses, stretches).std(ddof=1) / stretches**0.5)
