"""RAdam (Liu 1908.03265), torch's own, with decoupled weight decay so that it differs from AdamW in one thing only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from warmup.optimizers import _recipe

if TYPE_CHECKING:
    from warmup.settings import RecipeSettings


def create(parameter_groups: _recipe.ParameterGroups, recipe: RecipeSettings) -> torch.optim.Optimizer:
    """torch.optim.RAdam with the recipe's betas and epsilon; takes no options."""
    _recipe.options(recipe, "radam")
    groups = [dict(group) for group in parameter_groups]
    arguments = _recipe.adam_arguments(recipe)
    return torch.optim.RAdam(groups, **arguments, decoupled_weight_decay=True, foreach=True)
