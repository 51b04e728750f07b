"""Linear: from the peak to the floor in a straight line."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMULA = "lr = peak · (floor + (1 − floor) (1 − s))"
OPTIONS: dict[str, Any] = {}


def shares(
    updates: NDArray[np.float64], length: int, warmup_steps: int, floor: float, options: Mapping[str, Any]
) -> NDArray[np.float64]:
    """floor + (1 - floor)(1 - s), s = updates / length."""
    del warmup_steps, options
    return floor + (1 - floor) * (1 - updates / max(length, 1))
