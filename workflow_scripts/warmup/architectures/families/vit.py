"""Vision Transformer: takes pixels, cuts its own patches."""

from collections.abc import Iterator, Mapping
from typing import Any

from warmup.architectures.families import generic

DEFAULTS = {"hidden_size": 768, "num_attention_heads": 12, "num_hidden_layers": 12}
KERNELS: tuple[str, ...] = ()
PLAIN_CAUSAL = False
overrides = generic.overrides


def problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """Width not divisible by heads, with transformers' defaults where the entry is silent."""
    yield from generic.common_problems(settings, DEFAULTS)


def longest_sequence(_settings: Mapping[str, Any]) -> None:
    """Follows from the image."""
