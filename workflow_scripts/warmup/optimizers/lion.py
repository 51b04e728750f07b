"""Lion (Chen 2302.06675), from lion-pytorch: the sign of an interpolated momentum, the same step for every weight.

Its step is as long as AdamW's longest, so it is used at a third to a tenth of AdamW's rate, with as much more weight
decay (the paper, section 5). betas: the update's interpolation, then the momentum's, 0.9 and 0.99 in the paper; a
recipe's `epsilon` plays no part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from warmup.errors import EnvironmentProblemError
from warmup.optimizers import _recipe

if TYPE_CHECKING:
    from warmup.settings import RecipeSettings

try:
    from lion_pytorch import Lion
except ImportError as error:
    message = "optimizer lion needs the package lion-pytorch: pip install -e .[optimizers]"
    raise EnvironmentProblemError(message) from error


def create(parameter_groups: _recipe.ParameterGroups, recipe: RecipeSettings) -> torch.optim.Optimizer:
    """lion_pytorch.Lion with the recipe's betas; takes no options."""
    _recipe.options(recipe, "lion")
    arguments = _recipe.adam_arguments(recipe)
    groups = [dict(group) for group in parameter_groups]
    return Lion(groups, lr=arguments["lr"], betas=arguments["betas"])
