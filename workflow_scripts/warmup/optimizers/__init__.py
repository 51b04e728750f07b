"""Optimisers by name: each module offers `create(parameter_groups, recipe) -> torch.optim.Optimizer`.

In: groups from `architectures.parameter_groups` (params, names, weight_decay, role, attention_qk) and a recipe of the
configuration. Out: an optimiser whose `param_groups[i]["lr"]` the training loop sets before every step.
"""
