"""A backbone that is a class in a file of the user's own: an architecture's `source: {module: ..., class: ...}`.

What the class is asked for (docs/own_architecture.md):

    class Net(torch.nn.Module):
        def __init__(self, **settings)                the entry's `settings`; draws its own initial weights
        hidden_size: int                              channels of its states, and of its inputs
        def forward(self, inputs_embeds) -> Tensor    [n, positions, hidden_size] -> last_hidden_state, likewise

and what it may have besides: `start_tokens(embedding, head)`, and on its parts LAYER_GROUPS (see `layers`) and
MIXING_OPERATOR (see probes/_operators.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from warmup import registry
from warmup.architectures import layers
from warmup.errors import ConfigurationError

if TYPE_CHECKING:
    from warmup.settings import ArchitectureSettings

TOKENS_DEVIATION = 0.02
"""Of the token embedding's entries for a class that does not say how it starts (GPT-2's)."""

TRIED = (2, 5)
"""Examples and positions that the interface is tried on."""


def named(architecture: ArchitectureSettings) -> str:
    """`Net (my.py)`, as messages call the class."""
    return f"{architecture['source']['class']} ({architecture['source']['module']})"


def backbone(architecture: ArchitectureSettings) -> nn.Module:
    """A new instance, its initial weights from torch's present random state, on the present device.

    Raises ConfigurationError, naming the key, if there is no such class, or if it is not what is asked for.
    """
    source = architecture["source"]
    try:
        kind = registry.own_class(source["module"], source["class"])
    except ConfigurationError as error:
        raise ConfigurationError(f"source.{error}") from error
    if not issubclass(kind, nn.Module):
        raise ConfigurationError(f"source.class: {named(architecture)} is no torch.nn.Module")
    try:
        network = kind(**architecture["settings"])
    except Exception as error:  # a user's class finds faults in ways of its own
        raise ConfigurationError(
            f"settings: {named(architecture)} cannot be built from them: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(getattr(getattr(network, "config", network), "hidden_size", None), int):
        raise ConfigurationError(
            f"source.class: {named(architecture)} has no attribute `hidden_size`, the channels of its states"
        )
    for block in (block for _, _, block in layers.blocks(network)):
        for child, part in layers.declared(block).items():
            if part not in layers.PARTS:
                raise ConfigurationError(
                    f"source.class: LAYER_GROUPS of {type(block).__name__} calls {child} {part!r}; right is one of "
                    f"{', '.join(layers.PARTS)}"
                )
    return network


def states(found: Any) -> Tensor:
    """`last_hidden_state` of what a backbone returned: itself, or an object that has it, as transformers' do."""
    last: Tensor = getattr(found, "last_hidden_state", found)
    return last


def states_of_images(found: Any) -> Tensor:
    """States [n, positions, width] of what a backbone of images returned; maps are taken for `positions`.

    Where it pools its maps itself (ConvNeXt: their mean, normalised) the pooled state [n, 1, width] is the only one.
    """
    last, pooled = states(found), getattr(found, "pooler_output", None)
    if last.ndim == 4 and pooled is not None:
        return pooled.flatten(1)[:, None]
    return positions(last)


def positions(states: Tensor) -> Tensor:
    """Maps [n, width, rows, columns] as states [n, positions, width], row by row; what is no map as it is."""
    return states.flatten(2).transpose(1, 2) if states.ndim == 4 else states


@torch.no_grad()
def start_tokens(model: nn.Module) -> None:
    """Draw the task's token embedding, and its head where that is another matrix, as the class asks."""
    network: Any = model.get_submodule("backbone")
    embedding = model.get_parameter("input_adapter.tokens.weight")
    head = dict(model.named_parameters()).get("output_adapter.weight")
    if hasattr(network, "start_tokens"):
        network.start_tokens(embedding, head)
    else:
        nn.init.normal_(embedding, std=TOKENS_DEVIATION)


@torch.no_grad()
def refuse_other_interface(network: nn.Module, architecture: ArchitectureSettings) -> None:
    """Raise ConfigurationError unless `network` makes states of embeddings, of the same shape."""
    width: Any = getattr(network, "config", network)
    shape = (*TRIED, int(width.hidden_size))
    try:
        found = states(network(inputs_embeds=torch.zeros(shape)))
    except Exception as error:  # whatever a user's class may raise
        raise ConfigurationError(
            f"source.class: {named(architecture)} fails for inputs_embeds [n, positions, hidden_size] = {list(shape)}: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, Tensor) or tuple(found.shape) != shape:
        what = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ConfigurationError(
            f"source.class: {named(architecture)} returns {what} for inputs_embeds {list(shape)}; right is "
            "last_hidden_state, of the same shape"
        )
