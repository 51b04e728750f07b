"""Mamba: selective state spaces, no positions, no attention."""

from collections.abc import Iterator, Mapping
from typing import Any

from warmup.architectures.families import generic

DEFAULTS = {"hidden_size": 768, "num_hidden_layers": 32, "state_size": 16}
KERNELS = ("causal_convolution", "selective_scan")
PLAIN_CAUSAL = False


def problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """Sizes below 1, attention heads that it does not have."""
    for key in generic.HEAD_KEYS:
        if key in settings:
            yield f"{key}: a Mamba has no attention heads; remove this key"
    yield from generic.common_problems(settings, {})


def longest_sequence(_settings: Mapping[str, Any]) -> None:
    """A recurrence has no longest sequence."""


def overrides(_settings: Mapping[str, Any]) -> dict[str, Any]:
    """The scan is ours or mamba-ssm's, never mambapy's; no cache while training."""
    return {"use_mambapy": False, "use_cache": False}
