"""What a parameter is, decided once for weight decay, AdamW^2's cap and initial scale alike.

matrix: a linear map [out, in]. stack: several of them packed in one tensor [count, ., .], as experts are.
other: norms, biases, embeddings, position tables, convolutions, A_log, time mixes: never decayed, never capped.
"""

from collections.abc import Iterator
from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D

MATRIX, STACK, OTHER = "matrix", "stack", "other"

NOT_MATRICES = ("a_log", "table", "bias", "position", "embed", "time_", "token", "decay", "norm", "conv")
"""Parts of names of bare 2-D and 3-D parameters that are no linear maps."""

QUERY_KEY = ("q_proj", "k_proj", "query", "key", "c_attn", "qkv", "wqkv", "in_proj_qkv", "query_key_value")


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
    if any(part in leaf.lower() for part in NOT_MATRICES):
        return OTHER
    if parameter.ndim == 2:
        return MATRIX
    return STACK if parameter.ndim == 3 and "expert" in name.lower() else OTHER


def queries_or_keys(name: str) -> bool:
    """Whether the parameter belongs to a projection that makes attention's queries or keys (alone or fused)."""
    if any(part in name for part in ("channel", "feed_forward", "mlp", "ffn")):
        return False
    return any(part in QUERY_KEY for part in name.split("."))


def trained(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Name and parameter of everything that is trained, each parameter once."""
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Groups for an optimiser: equal role, decay and attention_qk together; matrices and stacks alone are decayed."""
    groups: dict[tuple[str, bool], dict[str, Any]] = {}
    for name, parameter in trained(model):
        kind, attention = role(model, name), queries_or_keys(name)
        attention = attention and kind != OTHER
        group = groups.setdefault(
            (kind, attention),
            {
                "params": [],
                "names": [],
                "role": kind,
                "attention_qk": attention,
                "weight_decay": 0.0 if kind == OTHER else weight_decay,
            },
        )
        group["params"].append(parameter)
        group["names"].append(name)
    return [groups[key] for key in sorted(groups)]
