"""RWKV-4: time mixing by a decayed weighted mean of the past."""

from collections.abc import Iterator, Mapping
from typing import Any

from warmup.architectures.families import generic

DEFAULTS = {"hidden_size": 4096, "num_hidden_layers": 32, "context_length": 1024}
KERNELS = ("wkv",)
GPU_KERNELS = ("token_mixing_cuda",)
PLAIN_CAUSAL = False


def problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """Sizes below 1, attention heads that it does not have."""
    for key in generic.HEAD_KEYS:
        if key in settings:
            yield f"{key}: an RWKV-4 has no attention heads; remove this key"
    if settings.get("num_hidden_layers") == 1:
        yield "num_hidden_layers: transformers cannot build an RWKV-4 of 1 layer; right is 2 or more"
    yield from generic.common_problems(settings, {})


def longest_sequence(settings: Mapping[str, Any]) -> tuple[str, int] | None:
    """The context of the CUDA kernel."""
    return generic.find(settings, DEFAULTS, ("context_length",))


def overrides(_settings: Mapping[str, Any]) -> dict[str, Any]:
    """No halving of weights every few layers: it changes weights in place in evaluation and is for float16 only."""
    return {"rescale_every": 0, "use_cache": False}
