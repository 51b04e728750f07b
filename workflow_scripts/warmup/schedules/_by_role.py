"""Learning rates by warmup role: who is warmed up, who starts at the peak, and whose rate is a share of the others'.

In: a recipe, whose `warmup_roles` are warmed alone (null: all are), `warmup_excludes` are not, and whose
`role_rate_factors` multiply the rates of the roles they name. Out: rates of each role, pure functions of the update.
Roles are those of `architectures.warmup_roles`; nothing here knows which there are.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def differ(recipe: Mapping[str, Any]) -> bool:
    """Whether a recipe tells roles apart at all."""
    return recipe.get("warmup_roles") is not None or bool(
        recipe.get("warmup_excludes") or recipe.get("role_rate_factors")
    )


def is_warmed(recipe: Mapping[str, Any], role: str) -> bool:
    """Whether the parameters of `role` are warmed up; those of any other role start at the peak."""
    chosen = recipe.get("warmup_roles")
    return (chosen is None or role in chosen) and role not in (recipe.get("warmup_excludes") or ())


def role_rates(
    recipe: Mapping[str, Any], rates: NDArray[np.float64], warmup_steps: int, roles: Iterable[str]
) -> dict[str, NDArray[np.float64]]:
    """Learning rates of each of `roles`, like `rates` [steps], the recipe's `learning_rates`.

    A role that is not warmed has, for the W = warmup_steps updates of the ramp, the rate in which the ramp ends, so
    that two roles differ in those updates alone; then all decay alike. Everything times the role's factor (default 1).
    """
    held = rates.copy()
    if warmup_steps:
        held[:warmup_steps] = rates[warmup_steps - 1]
    factors = recipe.get("role_rate_factors") or {}
    return {role: (rates if is_warmed(recipe, role) else held) * float(factors.get(role, 1.0)) for role in roles}
