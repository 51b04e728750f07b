"""GI-AdamW: the second moment starts at the first gradient's square (Kalra & Barkeshli 2406.09405).

v_0 = g_0^2 in place of 0, the bias correction 1 - beta2^t kept. The first updates are thereby divided by up to
1 / sqrt(1 - beta2), which acts as a warmup of the rate, sqrt(1 - beta2^t), that needs no length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from warmup.optimizers import _recipe

if TYPE_CHECKING:
    from warmup.settings import RecipeSettings


class GIAdamW(torch.optim.AdamW):
    """torch's AdamW whose state is begun with exp_avg_sq = g_0^2."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update; `closure` is not supported, since the first gradient must exist before the state does."""
        if closure is not None:
            raise ValueError("GIAdamW takes no closure: compute gradients before calling step()")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and not self.state[parameter]:
                    self._begin(parameter, on_device=bool(group["fused"] or group["capturable"]))
        return super().step()

    def _begin(self, parameter: torch.Tensor, on_device: bool) -> None:
        gradient = parameter.grad
        assert gradient is not None
        self.state[parameter] = {
            # torch keeps the step count on the device for its fused kernels only
            "step": torch.zeros((), dtype=torch.float32, device=parameter.device if on_device else "cpu"),
            "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            "exp_avg_sq": gradient.square().to(parameter.dtype),
        }


def create(parameter_groups: _recipe.ParameterGroups, recipe: RecipeSettings) -> torch.optim.Optimizer:
    """GI-AdamW with the recipe's betas and epsilon; takes no options."""
    _recipe.options(recipe, "gi_adam")
    fused = _recipe.on_cuda(parameter_groups)
    groups = [dict(group) for group in parameter_groups]
    return GIAdamW(groups, **_recipe.adam_arguments(recipe), fused=fused, foreach=not fused)
