"""Inverse square root (Vaswani et al., arXiv 1706.03762; Raffel et al., arXiv 1910.10683).

By transformers' convention the time scale is the number of warmup steps, and 10,000 without warmup: then a warmup
sweep also sweeps the speed of the decay. Set `timescale` to keep them apart.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warmup.schedules._options import Option

TIMESCALE_WITHOUT_WARMUP = 10_000
"""transformers' default where there is no warmup to take the time scale from."""

FORMULA = "lr = peak · max(floor, 1 / √(1 + t / timescale)), t updates after warmup"
OPTIONS = {
    "timescale": Option(None, "updates; null: the warmup steps, or 10,000 without warmup", above=0, optional=True),
}


def shares(
    updates: NDArray[np.float64], length: int, warmup_steps: int, floor: float, options: Mapping[str, Any]
) -> NDArray[np.float64]:
    """max(floor, (1 + updates / timescale)^(-1/2))."""
    del length
    timescale = options["timescale"] or warmup_steps or TIMESCALE_WITHOUT_WARMUP
    return np.maximum(floor, 1 / np.sqrt(1 + updates / timescale))
