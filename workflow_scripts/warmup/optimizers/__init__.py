"""Optimisers by name: each module offers `create(parameter_groups, recipe) -> torch.optim.Optimizer`.

In: groups from `architectures.parameter_groups` (params, names, weight_decay, role, attention_qk) and a recipe of the
configuration. A module that says BY_WARMUP_ROLE gets groups that are split by `warmup_role` as well. Out: an optimiser
whose `param_groups[i]["lr"]` the training loop sets before every step.
"""
