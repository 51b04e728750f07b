"""Options of a schedule: their defaults, their limits, and what is said when a value is outside them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from warmup.errors import ConfigurationError


@dataclass(frozen=True)
class Option:
    """One key of `schedule_options`: a number (above < number <= up_to) or one of `choices`; None too if `optional`."""

    default: Any
    meaning: str
    above: float = -math.inf
    up_to: float = math.inf
    choices: tuple[str, ...] = ()
    optional: bool = False


def chosen(schedule: str, known: Mapping[str, Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of `schedule` with the value `given` or its default; ConfigurationError for anything else."""
    for key in given:
        if key not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise ConfigurationError(f"schedule_options.{key}: no option of schedule {schedule!r} (known: {listed})")
    return {key: _checked(f"schedule_options.{key}", known[key], given.get(key, known[key].default)) for key in known}


def number(key: str, value: Any) -> float:
    """`value` as a float; text such as '6e-4' (YAML reads it so) is a ConfigurationError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise ConfigurationError(f"{key}: {value!r} is not a number (YAML wants 6.0e-4, not 6e-4)")
    return float(value)


def _checked(key: str, option: Option, value: Any) -> Any:
    if value is None and option.optional:
        return None
    if option.choices:
        if value not in option.choices:
            raise ConfigurationError(f"{key}: {value!r} is not one of {', '.join(option.choices)}")
        return value
    value = number(key, value)
    if not option.above < value <= option.up_to or math.isinf(value):
        limits = f"above {option.above:g}" + (f", up to {option.up_to:g}" if option.up_to < math.inf else "")
        raise ConfigurationError(f"{key}: {value:g} is outside its limits ({limits})")
    return value
