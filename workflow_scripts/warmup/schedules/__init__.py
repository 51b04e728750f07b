"""Learning rates of a whole training: linear warmup, then the decay that the recipe names.

A schedule is a file of this folder with

    FORMULA   its decay as text, s = share of the decay done, in shares of the peak (drawn in the schedule gallery)
    OPTIONS   {name: Option}: what `schedule_options` of a recipe may say, with defaults
    shares(updates, length, warmup_steps, floor, options) -> rates as shares of the peak after `updates` updates of
              the decay (float64 array, 0 = the end of warmup), of `length` in all

and `learning_rates` puts warmup, decay and peak together; `role_rates` says how it differs between the roles that
parameters have, where a recipe warms only some of them. The ramp arrives where the decay begins (`shares` at 0),
so no schedule can jump at the end of warmup. Rates are those of transformers' schedulers at multiplier t + 1: update
t = 0 takes a first step of the ramp, not a step of rate zero, and the last update has the floor.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warmup import registry
from warmup.errors import ConfigurationError
from warmup.schedules import _options
from warmup.schedules._by_role import differ, is_warmed, role_rates

__all__ = ["differ", "formula", "is_warmed", "learning_rates", "role_rates"]


def learning_rates(recipe: Mapping[str, Any], steps: int, warmup_steps: int) -> NDArray[np.float64]:
    """Learning rate of update t = 0 .. steps - 1, float64 [steps].

    lr(t) = peak x (start + (top - start) (t + 1) / W)   for t < W = warmup_steps, top = 1 (`wsd`: its plateau)
    lr(t) = peak x share after t + 1 - W updates of the decay over steps - W updates, for t >= W.

    `recipe` gives schedule, peak_learning_rate, start and floor (shares of the peak, default 0) and schedule_options.
    Raises ConfigurationError, naming the key, for values that make no schedule.
    """
    peak, start, floor = _scalars(recipe)
    if steps < 1:
        raise ConfigurationError(f"training.steps: {steps} updates make no training; give at least 1")
    if not 0 <= warmup_steps <= steps:
        raise ConfigurationError(f"warmups: {warmup_steps} warmup steps do not fit into {steps} updates")
    schedule = registry.load("schedules", recipe["schedule"])
    options = _options.chosen(recipe["schedule"], schedule.OPTIONS, recipe.get("schedule_options") or {})
    length = steps - warmup_steps
    decay = schedule.shares(np.arange(length + 1, dtype=np.float64), length, warmup_steps, floor, options)
    top = decay[0]
    if start > top and not math.isclose(start, top):  # a tail's first share may be rounded
        raise ConfigurationError(f"start: the ramp begins at {start:g} of the peak, above its end at {top:g}")
    ramp = start + (top - start) * np.arange(1, warmup_steps + 1, dtype=np.float64) / max(warmup_steps, 1)
    return peak * np.concatenate([ramp, decay[1:]])


def formula(name: str) -> str:
    """The decay of schedule `name` as one line of text."""
    return registry.load("schedules", name).FORMULA


def _scalars(recipe: Mapping[str, Any]) -> tuple[float, float, float]:
    for key in ("schedule", "peak_learning_rate"):
        if key not in recipe:
            raise ConfigurationError(f"{key}: missing from the recipe")
    peak = _options.number("peak_learning_rate", recipe["peak_learning_rate"])
    start = _options.number("start", recipe.get("start", 0.0))
    floor = _options.number("floor", recipe.get("floor", 0.0))
    if not peak > 0 or math.isinf(peak):
        raise ConfigurationError(f"peak_learning_rate: {peak:g} is not a positive number")
    if not 0 <= start <= 1:
        raise ConfigurationError(f"start: {start:g} is not a share of the peak (0 to 1)")
    if not 0 <= floor <= 1:
        raise ConfigurationError(f"floor: {floor:g} is not a share of the peak (0 to 1)")
    return peak, start, floor
