"""Muon on the hidden matrices, AdamW on all else: both torch's own, in one optimiser.

Muon (Keller Jordan 2024, kellerjordan.github.io/posts/muon) replaces a matrix's momentum by the nearest orthogonal
matrix, nearly, so that every direction moves as far as every other. It is meant for matrices between embedding and
head; embedding, head, norms, biases and whatever is no matrix take AdamW, as its author and Moonshot (2502.16982) do.
A stack [experts, m, n] is as many matrices.

How large its steps are is the option `adjust_lr_fn`, torch's:
  match_rms_adamw  (default) times 0.2 sqrt(max(m, n)), which gives the step the size of an AdamW step, so that rate and
                   weight decay of AdamW are taken over as they are (Moonshot 2502.16982)
  original         times sqrt(max(1, m / n)); its users then give Muon a rate of its own, 0.02 beside 3e-4 for AdamW:
                   `role_rate_factors` of the recipe
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from warmup.architectures.warmup_roles import HIDDEN_MATRICES
from warmup.errors import ConfigurationError
from warmup.optimizers import _recipe

if TYPE_CHECKING:
    from warmup.settings import RecipeSettings

BY_WARMUP_ROLE = True
"""Its groups are to be told apart by where their parameters stand."""

ADJUSTMENTS = ("match_rms_adamw", "original")
KINDS: dict[str, tuple[type, ...]] = {"momentum": (float, int), "nesterov": (bool,), "ns_steps": (int,)}
"""Options that torch takes as they come, and what they have to be."""


class MuonWithAdamW(torch.optim.Optimizer):
    """torch.optim.Muon and torch.optim.AdamW side by side: one list of groups, one state, one `step`.

    muon, adamw: groups of each; `muon_stacks` are groups of tensors [count, m, n], each a list of matrices to Muon.
    """

    def __init__(
        self,
        muon: list[dict[str, Any]],
        muon_stacks: list[dict[str, Any]],
        adamw: list[dict[str, Any]],
        muon_arguments: dict[str, Any],
        adamw_arguments: dict[str, Any],
    ) -> None:
        self._slices: list[tuple[torch.Tensor, list[torch.Tensor]]] = [
            (stack, [torch.nn.Parameter(matrix) for matrix in stack.detach().unbind(0)])
            for group in muon_stacks
            for stack in group["params"]
        ]
        slices = {id(stack): matrices for stack, matrices in self._slices}
        unstacked = [
            group | {"params": [matrix for stack in group["params"] for matrix in slices[id(stack)]]}
            for group in muon_stacks
        ]
        self._muon = torch.optim.Muon([*muon, *unstacked], **muon_arguments)
        self._adamw = torch.optim.AdamW(adamw, **adamw_arguments) if adamw else None
        super().__init__([group for part in self._parts() for group in part.param_groups], {})
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for stack, matrices in self._slices:
            gradients = [None] * len(matrices) if stack.grad is None else stack.grad.unbind(0)
            for matrix, gradient in zip(matrices, gradients, strict=True):
                matrix.grad = gradient
        for part in self._parts():
            part.step()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """torch's, of the stacks too, which their matrices stand for among the parameters."""
        super().zero_grad(set_to_none)
        for stack, _ in self._slices:
            if set_to_none:
                stack.grad = None
            elif stack.grad is not None:
                stack.grad.zero_()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """torch's; both parts go on with what was loaded."""
        super().load_state_dict(state_dict)
        self._share()

    def _parts(self) -> list[torch.optim.Optimizer]:
        return [part for part in (self._muon, self._adamw) if part is not None]

    def _share(self) -> None:
        """Give the parts their groups, and all of them the one state."""
        start = 0
        for part in self._parts():
            stop = start + len(part.param_groups)
            part.param_groups, part.state = self.param_groups[start:stop], self.state
            start = stop


def create(parameter_groups: _recipe.ParameterGroups, recipe: RecipeSettings) -> torch.optim.Optimizer:
    """Muon with the recipe's weight decay, AdamW with its betas and epsilon too; options as torch.optim.Muon's.

    Raises ConfigurationError if the model has no hidden matrix.
    """
    chosen = _recipe.options(recipe, "muon", momentum=0.95, nesterov=True, ns_steps=5, adjust_lr_fn="match_rms_adamw")
    if chosen["adjust_lr_fn"] not in ADJUSTMENTS:
        raise ConfigurationError(
            f"options.adjust_lr_fn of optimizer muon: {chosen['adjust_lr_fn']!r} is not one of {', '.join(ADJUSTMENTS)}"
        )
    for key, kinds in KINDS.items():
        if type(chosen[key]) not in kinds:
            right = " or ".join(kind.__name__ for kind in kinds)
            raise ConfigurationError(f"options.{key} of optimizer muon: {chosen[key]!r} is no {right}")
    parts: dict[str, list[dict[str, Any]]] = {"matrix": [], "stack": [], "adamw": []}
    for group in parameter_groups:
        hidden = group["warmup_role"] in HIDDEN_MATRICES and group["role"] in ("matrix", "stack")
        parts[group["role"] if hidden else "adamw"].append(dict(group))
    if not parts["matrix"] and not parts["stack"]:
        raise ConfigurationError("optimizer muon: this model has no matrix between embedding and head; use adamw")
    arguments = _recipe.adam_arguments(recipe)
    fused = _recipe.on_cuda(parameter_groups)
    try:
        return MuonWithAdamW(
            parts["matrix"],
            parts["stack"],
            parts["adamw"],
            {"lr": arguments["lr"], **chosen},
            {**arguments, "fused": fused, "foreach": not fused},
        )
    except ValueError as error:  # torch checks the options' values
        raise ConfigurationError(f"options of optimizer muon: {error}") from error
