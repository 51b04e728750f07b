"""AdamW (Loshchilov & Hutter 1711.05101), torch's own: fused on CUDA, foreach elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from warmup.optimizers import _recipe

if TYPE_CHECKING:
    from warmup.settings import RecipeSettings


def create(parameter_groups: _recipe.ParameterGroups, recipe: RecipeSettings) -> torch.optim.Optimizer:
    """torch.optim.AdamW with the recipe's betas and epsilon; takes no options."""
    _recipe.options(recipe, "adamw")
    fused = _recipe.on_cuda(parameter_groups)
    groups = [dict(group) for group in parameter_groups]
    return torch.optim.AdamW(groups, **_recipe.adam_arguments(recipe), fused=fused, foreach=not fused)
