"""What every optimiser reads from a recipe, and the refusal of options it does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from warmup.errors import ConfigurationError

if TYPE_CHECKING:
    from warmup.settings import RecipeSettings

ParameterGroups = Sequence[Mapping[str, Any]]


def adam_arguments(recipe: RecipeSettings) -> dict[str, Any]:
    """`lr`, `betas` and `eps` as torch's Adam family names them; weight decay stays with the parameter groups."""
    first, second = recipe["betas"]
    return {
        "lr": float(recipe["peak_learning_rate"]),
        "betas": (float(first), float(second)),
        "eps": float(recipe["epsilon"]),
    }


def on_cuda(parameter_groups: ParameterGroups) -> bool:
    """Whether every parameter lives on a CUDA device, where torch's fused kernels apply."""
    return all(parameter.is_cuda for group in parameter_groups for parameter in group["params"])


def options(recipe: RecipeSettings, optimizer: str, **defaults: Any) -> dict[str, Any]:
    """`recipe["options"]` over `defaults`; a key that `optimizer` does not take is a ConfigurationError."""
    given = dict(recipe.get("options") or {})
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        known = ", ".join(sorted(defaults)) or "none"
        raise ConfigurationError(f"options of optimizer {optimizer}: {', '.join(unknown)} not known; known are {known}")
    return defaults | given
