"""What a parameter is, decided once for weight decay, AdamW^2's cap and initial scale alike.

matrix: a linear map [out, in]. stack: several of them packed in one tensor [count, ., .], as experts are.
other: norms, biases, embeddings, position tables, convolutions, A_log, time mixes: never decayed, never capped.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D

from warmup.architectures.projections import attention_projections

MATRIX, STACK, OTHER = "matrix", "stack", "other"

NOT_A_MATRIX = "d"
"""Name of a state-space model's skip, a vector, if one per head then packed in two dimensions."""
NOT_MATRICES = ("a_log", "table", "bias", "position", "embed", "time_", "token", "decay", "norm", "conv")
"""Parts of names of bare 2-D and 3-D parameters that are no linear maps."""


def role(model: nn.Module, name: str) -> str:
    """Role of the parameter `name` of `model`."""
    path, _, leaf = name.rpartition(".")
    owner = model.get_submodule(path)
    parameter = owner.get_parameter(leaf)
    if isinstance(owner, (nn.Linear, Conv1D)) and parameter.ndim == 2:
        return MATRIX
    if "parametrizations" in name and parameter.ndim == 2:
        return MATRIX
    if isinstance(owner, nn.Embedding) or type(owner).__module__.startswith("torch.nn") or parameter.ndim < 2:
        return OTHER
    if leaf.lower() == NOT_A_MATRIX or any(part in leaf.lower() for part in NOT_MATRICES):
        return OTHER
    if parameter.ndim == 2:
        return MATRIX
    if "Attention" in type(owner).__name__:  # XLNet's maps [width, heads, size] are matrices along another axis
        return OTHER
    return STACK if parameter.ndim == 3 and min(parameter.shape[1:]) > 1 else OTHER


def are_experts(owner: nn.Module) -> bool:
    """Whether the stacks of a module are experts among which each token's router chooses (not shared by all)."""
    kind = type(owner).__name__
    return kind.endswith("Experts") and "Shared" not in kind


def queries_and_keys(model: nn.Module) -> frozenset[str]:
    """Names of the weights and biases of the projections that make attention's queries or keys, alone or fused."""
    linears = {id(part.linear) for _, _, found in attention_projections(model) for part in (found.query, found.key)}
    return frozenset(
        f"{name}.{leaf}"
        for name, module in model.named_modules()
        if id(module) in linears
        for leaf, _ in module.named_parameters()
    )


def trained(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Name and parameter of everything that is trained, each parameter once."""
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)


def parameter_groups(
    model: nn.Module, weight_decay: float, split: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Groups for an optimiser: equal role, decay and attention_qk together; matrices and stacks alone are decayed.

    split: the warmup role of every parameter (`warmup_roles`); then parameters of one group share that too.
    """
    groups: dict[tuple[str, bool, str], dict[str, Any]] = {}
    makes_scores = queries_and_keys(model)
    for name, parameter in trained(model):
        kind = role(model, name)
        attention = kind != OTHER and name in makes_scores
        group = groups.setdefault(
            (kind, attention, split[name] if split else ""),
            {
                "params": [],
                "names": [],
                "role": kind,
                "attention_qk": attention,
                "weight_decay": 0.0 if kind == OTHER else weight_decay,
                **({"warmup_role": split[name]} if split else {}),
            },
        )
        group["params"].append(parameter)
        group["names"].append(name)
    return [groups[key] for key in sorted(groups)]
