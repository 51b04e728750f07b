"""Cosine: from the peak to the floor in half a wave (Loshchilov & Hutter, arXiv 1608.03983, one cycle)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMULA = "lr = peak · (floor + (1 − floor) · ½ (1 + cos πs))"
OPTIONS: dict[str, Any] = {}


def shares(
    updates: NDArray[np.float64], length: int, warmup_steps: int, floor: float, options: Mapping[str, Any]
) -> NDArray[np.float64]:
    """floor + (1 - floor) (1 + cos(pi s)) / 2, s = updates / length."""
    del warmup_steps, options
    return floor + (1 - floor) * 0.5 * (1 + np.cos(np.pi * updates / max(length, 1)))
