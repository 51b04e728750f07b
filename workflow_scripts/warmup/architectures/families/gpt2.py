"""GPT-2: learnt positions, fused query-key-value projection."""

from collections.abc import Iterator, Mapping
from typing import Any

from warmup.architectures.families import generic

DEFAULTS = {"n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024}
KERNELS: tuple[str, ...] = ()
PLAIN_CAUSAL = True
overrides = generic.overrides


def problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """Width not divisible by heads, with transformers' defaults where the entry is silent."""
    yield from generic.common_problems(settings, DEFAULTS)


def longest_sequence(settings: Mapping[str, Any]) -> tuple[str, int] | None:
    """The table of positions."""
    return generic.find(settings, DEFAULTS, generic.POSITION_KEYS)
