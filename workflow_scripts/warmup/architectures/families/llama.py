"""Llama: rotary positions, grouped heads."""

from collections.abc import Iterator, Mapping
from typing import Any

from warmup.architectures.families import generic

DEFAULTS = {"hidden_size": 4096, "num_attention_heads": 32, "num_hidden_layers": 32, "max_position_embeddings": 2048}
KERNELS: tuple[str, ...] = ()
PLAIN_CAUSAL = True


def problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """Width not divisible by heads, heads not by groups, with transformers' defaults where the entry is silent."""
    yield from generic.common_problems(settings, DEFAULTS)


def longest_sequence(settings: Mapping[str, Any]) -> tuple[str, int] | None:
    """As configured."""
    return generic.find(settings, DEFAULTS, generic.POSITION_KEYS)


def overrides(_settings: Mapping[str, Any]) -> dict[str, Any]:
    """No cache while training."""
    return {"use_cache": False}
