"""Where a parameter stands in a network, as a specification asks for it; drawing all of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import nn
from transformers import PretrainedConfig

from warmup.architectures import layers, roles
from warmup.architectures.starts._laws import Law
from warmup.random_streams import torch_seed

LANGUAGE = {"input_adapter.tokens.weight": "tokens", "output_adapter.weight": "head"}
"""Names in a Model of a language model's embedding and head, which are the network's own."""


@dataclass(frozen=True)
class Place:
    """One parameter.

    path: its name inside its block (`mixer.in_proj.weight`), or in the backbone outside of the blocks
    (`norm_f.weight`); `tokens` for the token embedding, `head` for a language head of its own, and the name in the
    model (`output_adapter.projection.weight`) for what else is a task's. block: number of the block, from 0, None
    outside; blocks: how many there are. pixels: the backbone takes images and brings its own patch embedding.
    tied: no language head of its own.
    """

    path: str
    shape: torch.Size
    block: int | None
    blocks: int
    config: PretrainedConfig
    pixels: bool
    tied: bool

    @property
    def fan_in(self) -> int:
        """Inputs of a linear map [out, in] or a convolution [out, in per group, *kernel]."""
        return math.prod(self.shape[1:])


def places(network: nn.Module) -> Iterator[tuple[str, nn.Parameter, Place]]:
    """(name, parameter, place) of everything that is trained in a Model."""
    backbone = network.get_submodule("backbone")
    blocks = layers.blocks(backbone)
    pixels = getattr(network, "pixels", False)
    trained = list(roles.trained(network))
    tied = "output_adapter.weight" not in dict(trained)
    for name, parameter in trained:
        path, block = _path(name, blocks)
        config: Any = getattr(backbone, "config", None)  # the user's own have none, and no specification asks for it
        yield name, parameter, Place(path, parameter.shape, block, len(blocks), config, pixels, tied)


def laws(network: nn.Module, specification: ModuleType) -> dict[str, Law | None]:
    """The authors' law of every trained parameter of a Model, by name; None where the specification has none."""
    return {name: specification.law(place) for name, _, place in places(network)}


@torch.no_grad()
def draw(network: nn.Module, specification: ModuleType, seed: int) -> list[str]:
    """Start a Model as its authors do, in place; names of the parameters that keep transformers' start.

    Each parameter has a stream of its own, ("authors' weights", seed, name): nothing another one draws moves it.
    A parameter on the meta device has no values and nothing is drawn.
    """
    kept = []
    for name, parameter, place in places(network):
        law = specification.law(place)
        if law is None:
            kept.append(name)
        elif parameter.device.type != "meta":
            generator = torch.Generator().manual_seed(torch_seed("authors' weights", seed, name))
            parameter.copy_(law.draw(parameter.shape, generator))
    return kept


def _path(name: str, blocks: list[tuple[int, str, nn.Module]]) -> tuple[str, int | None]:
    if name in LANGUAGE:
        return LANGUAGE[name], None
    inside = name.removeprefix("backbone.")
    for index, prefix, _ in blocks:
        if inside.startswith(f"{prefix}."):
            return inside.removeprefix(f"{prefix}."), index
    return inside, None
