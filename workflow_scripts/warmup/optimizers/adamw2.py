"""AdamW^2 (arXiv 2505.21910): AdamW whose step on each matrix is held to a share of the matrix's own spectral norm.

For a matrix W with update U = m_hat / (sqrt(v_hat) + eps), the bias-corrected Adam direction:

    a_t = min(lr_t, tau sigma_1(W) / sigma_1(U));   W <- (1 - a_t weight_decay) W;   W <- W - a_t U

so that sigma_1(W_t) <= (1 + tau) sigma_1(W_{t-1}) without decay (Weyl). a_t / lr_t is the warmup that the cap implies;
`caps()` tells it. Everything that is not a capped matrix takes torch's AdamW step. The order of operations is that of
torch's foreach AdamW: with tau infinite both give the same bits on CPU.

The spectral norms come from a block power iteration (`warmup.spectral_norm`) whose blocks live in the optimiser's
state, so a resumed run follows the same numbers. A stack [experts, m, n] has one cap per expert. An all-zero matrix
takes AdamW's step until it is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from warmup.architectures import spectral_norm
from warmup.errors import ConfigurationError
from warmup.optimizers import _recipe

if TYPE_CHECKING:
    from warmup.settings import RecipeSettings

SCOPES = ("all_matrices", "attention_query_key")
EXACT_STATE = ("weight_block", "update_block")
"""Float32 state whatever the parameters' type; torch would cast it to theirs on loading."""


class AdamW2(torch.optim.Optimizer):
    """AdamW with the spectral cap on the groups whose `capped` holds one flag per parameter."""

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        tau: float,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "tau": tau, "capped": None}
        super().__init__(groups, defaults)
        self._caps: dict[str, float] = {}

    def caps(self) -> dict[str, float]:
        """a_t / lr_t of the last step for each capped parameter (the mean over the experts of a stack).

        NaN for a matrix that is zero, as some start, or whose update is: it has no cap and steps at the full rate.
        """
        return dict(self._caps)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._caps = {}
        for group in self.param_groups:
            flags = group["capped"] or [False] * len(group["params"])
            names = group.get("names") or [str(index) for index in range(len(flags))]
            rows = [row for row in zip(group["params"], flags, names, strict=True) if row[0].grad is not None]
            if rows:
                self._step_group(group, *map(list, zip(*rows, strict=True)))
        return loss

    def _step_group(
        self, group: dict[str, Any], parameters: list[torch.Tensor], flags: list[bool], names: list[str]
    ) -> None:
        states = [self._state_of(parameter, capped) for parameter, capped in zip(parameters, flags, strict=True)]
        beta1, beta2 = group["betas"]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]  # all: see step()
        momenta = [state["exp_avg"] for state in states]
        squares = [state["exp_avg_sq"] for state in states]
        steps = [state["step"] for state in states]
        torch._foreach_add_(steps, torch.tensor(1.0), alpha=1.0)
        torch._foreach_lerp_(momenta, gradients, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)

        corrections = [(1 - beta1 ** step.item(), (1 - beta2 ** step.item()) ** 0.5) for step in steps]
        denominators = list(torch._foreach_sqrt(squares))
        torch._foreach_div_(denominators, [second for _, second in corrections])
        torch._foreach_add_(denominators, group["eps"])

        rates, caps = self._rates(group, parameters, flags, denominators, [first for first, _ in corrections])
        self._caps |= {names[index]: cap for index, cap in caps.items()}
        targets, momenta, denominators, flat_rates, flat_corrections = _unstacked(
            parameters, momenta, denominators, rates, [first for first, _ in corrections]
        )
        if group["weight_decay"]:
            torch._foreach_mul_(targets, [1 - rate * group["weight_decay"] for rate in flat_rates])
        step_sizes = [(rate / first) * -1 for rate, first in zip(flat_rates, flat_corrections, strict=True)]
        torch._foreach_addcdiv_(targets, momenta, denominators, step_sizes)

    def _rates(
        self,
        group: dict[str, Any],
        parameters: list[torch.Tensor],
        flags: list[bool],
        denominators: list[torch.Tensor],
        corrections: list[float],
    ) -> tuple[list[list[float]], dict[int, float]]:
        """a_t of each parameter: one number, or one per expert of a capped stack; and the caps by parameter."""
        rate, tau = group["lr"], group["tau"]
        rates = [[rate] for _ in parameters]
        caps: dict[int, float] = {}
        capped = [index for index, flag in enumerate(flags) if flag]
        if not capped:
            return rates, caps
        states = [self.state[parameters[index]] for index in capped]
        weights = [parameters[index].detach() for index in capped]
        updates = [self.state[parameters[index]]["exp_avg"] / denominators[index] for index in capped]
        of_weights, weight_blocks = spectral_norm.follow(weights, [state["weight_block"] for state in states])
        of_updates, update_blocks = spectral_norm.follow(updates, [state["update_block"] for state in states])
        for state, weight_block, update_block in zip(states, weight_blocks, update_blocks, strict=True):
            state["weight_block"], state["update_block"] = weight_block, update_block
        for index, weight_norms, update_norms in zip(capped, of_weights, of_updates, strict=True):
            norms = list(zip(weight_norms, update_norms, strict=True))
            rates[index] = [
                min(rate, tau * weight * corrections[index] / update) if weight > 0 and update > 0 else rate
                for weight, update in norms
            ]
            shares = [
                step / rate if rate else 1.0
                for step, (weight, update) in zip(rates[index], norms, strict=True)
                if weight > 0 and update > 0
            ]
            caps[index] = sum(shares) / len(shares) if shares else math.nan
        return rates, caps

    def _state_of(self, parameter: torch.Tensor, capped: bool) -> dict[str, torch.Tensor]:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            state["exp_avg_sq"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            if capped:
                state["weight_block"] = spectral_norm.first_block(parameter)
                state["update_block"] = spectral_norm.first_block(parameter)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """torch's, with the float32 state kept in float32 (torch casts state to the parameter's type)."""
        super().load_state_dict(state_dict)
        parameters = (parameter for group in self.param_groups for parameter in group["params"])
        indices = (index for group in state_dict["param_groups"] for index in group["params"])
        for parameter, index in zip(parameters, indices, strict=True):
            saved = state_dict["state"].get(index, {})
            for key in EXACT_STATE:
                if key in saved:
                    self.state[parameter][key] = saved[key].to(parameter.device, copy=True)


def _unstacked(
    parameters: list[torch.Tensor],
    momenta: list[torch.Tensor],
    denominators: list[torch.Tensor],
    rates: list[list[float]],
    corrections: list[float],
) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor], list[float], list[float]]:
    """The same lists with each stack that has several rates replaced by its experts: one tensor, one rate."""
    flat: tuple[list[Any], list[Any], list[Any], list[float], list[float]] = ([], [], [], [], [])
    for columns in zip(parameters, momenta, denominators, rates, corrections, strict=True):
        parameter, momentum, denominator, rate, correction = columns
        many = len(rate) > 1
        flat[0].extend(parameter.unbind(0) if many else [parameter])
        flat[1].extend(momentum.unbind(0) if many else [momentum])
        flat[2].extend(denominator.unbind(0) if many else [denominator])
        flat[3].extend(rate)
        flat[4].extend([correction] * len(rate))
    return flat


def create(parameter_groups: _recipe.ParameterGroups, recipe: RecipeSettings) -> torch.optim.Optimizer:
    """AdamW^2; option `tau` (> 0, may be infinite) is required, `scope` is all_matrices or attention_query_key."""
    chosen = _recipe.options(recipe, "adamw2", tau=None, scope="all_matrices")
    tau, scope = chosen["tau"], chosen["scope"]
    if isinstance(tau, bool) or not isinstance(tau, int | float) or not tau > 0:
        raise ConfigurationError(f"options.tau of optimizer adamw2: {tau!r} is not a positive number (e.g. 1.0e-2)")
    if scope not in SCOPES:
        raise ConfigurationError(f"options.scope of optimizer adamw2: {scope!r} is not one of {', '.join(SCOPES)}")
    groups = [dict(group) | {"capped": _capped(group, scope)} for group in parameter_groups]
    if not any(any(group["capped"]) for group in groups):
        raise ConfigurationError(
            f"optimizer adamw2: this model has no matrix in scope {scope!r}; use adamw, or another scope"
        )
    return AdamW2(groups, tau=float(tau), **_recipe.adam_arguments(recipe))


def _capped(group: Mapping[str, Any], scope: str) -> list[bool]:
    """One flag per parameter of the group: is it a matrix, or a stack of matrices, in scope?"""
    parameters = group["params"]
    in_role = group.get("role") in ("matrix", "stack")
    marked = group.get("attention_qk", False)
    flags = [marked] * len(parameters) if isinstance(marked, bool) else list(marked)
    chosen = [in_role and (scope == "all_matrices" or bool(flag)) for flag in flags]
    if any(keep and parameter.dim() < 2 for keep, parameter in zip(chosen, parameters, strict=True)):
        raise ValueError("a parameter of role matrix or stack has fewer than two dimensions")
    return chosen
