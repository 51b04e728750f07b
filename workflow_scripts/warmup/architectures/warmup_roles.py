"""Which part of a network a parameter is, for recipes that warm up some parts and not others.

embedding             what turns inputs into states: token, position and patch embeddings, input adapters; with a tied
                      head also the head
head                  what turns states into outputs, where it has parameters of its own
norms                 gains and biases of normalisations, wherever they stand
attention_matrices    linear maps inside attention: queries, keys, values, outputs
mixer_matrices        linear maps of what mixes positions otherwise: state spaces, recurrences, gated linear attention
feed_forward_matrices linear maps of feed-forward layers and experts
routers               what chooses the experts of a token
rest                  all else: biases, convolutions, A_log, skips, time mixes, patch merging

Read from what a parameter is (`roles`), where it stands (`layers`) and the classes around it, so it holds for any
backbone. Every trained parameter has exactly one.
"""

from collections.abc import Mapping
from typing import Any

from torch import nn

from warmup.architectures import layers, roles
from warmup.errors import ConfigurationError

EMBEDDING, HEAD, NORMS, REST, ROUTERS = "embedding", "head", "norms", "rest", "routers"
ATTENTION, MIXERS, FEED_FORWARD = "attention_matrices", "mixer_matrices", "feed_forward_matrices"
ROLES = (EMBEDDING, HEAD, NORMS, ATTENTION, MIXERS, FEED_FORWARD, ROUTERS, REST)
"""All of them; the schema of a recipe names the same."""
HIDDEN_MATRICES = (ATTENTION, MIXERS, FEED_FORWARD, ROUTERS)
"""Those whose matrices lie between embedding and head."""

GATES = ("gate", "shared_expert_gate")
"""Names under which a router stands beside its experts, where its class does not say so."""


def warmup_roles(model: nn.Module) -> dict[str, str]:
    """{name: warmup role} of every trained parameter of a Model."""
    blocks = {id(block) for _, _, block in layers.blocks(model.get_submodule("backbone"))}
    return {
        name: _role(model, name, group, blocks) for group, names in layers.layer_groups(model).items() for name in names
    }


def refuse_missing(recipe: Mapping[str, Any], present: set[str]) -> list[str]:
    """Roles that a recipe names for its warmup and a network does not have.

    Raises ConfigurationError if it has none of those named: its training would be another recipe's under a new name.
    """
    for key in ("warmup_roles", "warmup_excludes"):
        named = list(recipe.get(key) or ())
        if named and not present & set(named):
            has = ", ".join(role for role in ROLES if role in present)
            raise ConfigurationError(f"{key}: this network has no {' and no '.join(named)}; it has {has}")
    named = [*(recipe.get("warmup_roles") or ()), *(recipe.get("warmup_excludes") or ())]
    return [role for role in named if role not in present]


def _role(model: nn.Module, name: str, group: str, blocks: set[int]) -> str:
    owners = _owners(model, name)
    if _routes(owners, name):
        return ROUTERS
    matrix = roles.role(model, name) != roles.OTHER
    if not matrix and ("norm" in type(owners[-1]).__name__.lower() or group.endswith("norm")):
        return NORMS
    if group in (EMBEDDING, HEAD):
        return group
    part = group.partition(".")[2]
    if not matrix or not part:
        return REST
    block = next(depth for depth, owner in enumerate(owners) if id(owner) in blocks)
    inside = [type(owner).__name__ for owner in owners[block + 1 :]]  # a block's own class may be named for its mixer
    if part != "feed_forward" and any("Attention" in kind and "Rwkv" not in kind for kind in inside):
        return ATTENTION
    return {"mixer": MIXERS, "feed_forward": FEED_FORWARD}.get(part, REST)


def _owners(model: nn.Module, name: str) -> list[nn.Module]:
    """Modules around a parameter inside its part of the Model, from the outermost."""
    path = name.split(".")[:-1]
    return [model.get_submodule(".".join(path[:depth])) for depth in range(1, len(path) + 1)]


def _routes(owners: list[nn.Module], name: str) -> bool:
    path = name.split(".")[:-1]
    beside_experts = any(
        part in GATES and hasattr(owner, "experts") for owner, part in zip(owners, path[1:], strict=False)
    )
    return beside_experts or "router" in path or any(type(owner).__name__.endswith("Router") for owner in owners)
