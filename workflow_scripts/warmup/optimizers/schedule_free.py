"""Schedule-free AdamW (Defazio 2405.15682), from its authors' library, with an evaluation that leaves no trace.

The loop calls `eval()` before validation and `train()` after it. The library moves between the two points by linear
interpolation, whose rounding would make the trajectory depend on how often one looks; here the training point is kept
aside and put back bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from warmup.errors import EnvironmentProblemError
from warmup.optimizers import _recipe

if TYPE_CHECKING:
    from warmup.settings import RecipeSettings

try:
    from schedulefree import AdamWScheduleFree
except ImportError as error:
    message = "optimizer schedule_free needs the package schedulefree: pip install -e .[optimizers]"
    raise EnvironmentProblemError(message) from error


class ScheduleFreeAdamW(AdamWScheduleFree):
    """The library's optimiser; `eval()` then `train()` restores the weights exactly."""

    COUNT_IN_GROUPS = ("k", "train_mode", "weight_sum", "lr_max", "scheduled_lr")
    """What of its groups is no setting but changes as it goes on."""
    _training_point: list[torch.Tensor] | None = None

    @torch.no_grad()
    def eval(self) -> None:
        """Weights become the averaged point; the training point is kept until `train()`."""
        if self._training_point is None and all(group["train_mode"] for group in self.param_groups):
            self._training_point = [parameter.clone() for parameter in self._parameters()]
        super().eval()

    @torch.no_grad()
    def train(self) -> None:
        """Weights become the training point again."""
        super().train()
        if self._training_point is not None:
            for parameter, kept in zip(self._parameters(), self._training_point, strict=True):
                parameter.copy_(kept)
            self._training_point = None

    def _parameters(self) -> list[torch.Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]


def create(parameter_groups: _recipe.ParameterGroups, recipe: RecipeSettings) -> torch.optim.Optimizer:
    """Schedule-free AdamW in training mode; options `r` and `weight_lr_power` are the library's averaging powers."""
    chosen = _recipe.options(recipe, "schedule_free", r=0.0, weight_lr_power=2.0)
    groups = [dict(group) for group in parameter_groups]
    optimizer = ScheduleFreeAdamW(groups, **_recipe.adam_arguments(recipe), **chosen, foreach=True)
    optimizer.train()
    return optimizer
