"""Exponential: the same factor at every update, lr = peak x exp(-k t), t updates after warmup ([S3])."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warmup.errors import ConfigurationError
from warmup.schedules._options import Option

FORMULA = "lr = peak · max(floor, exp(−k t)), t updates after warmup; k = −ln(floor) / length unless given"
OPTIONS = {
    "rate": Option(None, "k per update; null: such that the last update has the floor", above=0, optional=True),
}


def shares(
    updates: NDArray[np.float64], length: int, warmup_steps: int, floor: float, options: Mapping[str, Any]
) -> NDArray[np.float64]:
    """max(floor, exp(-k updates)), k = options["rate"] or -ln(floor) / length."""
    del warmup_steps
    rate = options["rate"]
    if rate is None:
        if floor == 0:
            raise ConfigurationError(
                "floor: an exponential never reaches 0; give a floor above 0, or schedule_options.rate (per update)"
            )
        rate = -np.log(floor) / max(length, 1)
    return np.maximum(floor, np.exp(-rate * updates))
