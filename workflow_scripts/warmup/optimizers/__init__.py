"""Optimisers by name: each module offers `create(parameter_groups, recipe) -> torch.optim.Optimizer`.

In: groups from `architectures.parameter_groups` (params, names, weight_decay, role, attention_qk) and a recipe of the
configuration. A module that says BY_WARMUP_ROLE gets groups that are split by `warmup_role` as well. Out: an optimiser
whose `param_groups[i]["lr"]` the training loop sets before every step. `take_over` lets one go on where another
of its kind ended.
"""

from warmup.optimizers._taken_over import take_over

__all__ = ["take_over"]
