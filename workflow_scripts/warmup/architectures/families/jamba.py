"""Jamba: Mamba layers with attention every few layers and experts every few."""

from collections.abc import Iterator, Mapping
from typing import Any

from warmup.architectures.families import generic

DEFAULTS = {
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "num_hidden_layers": 32,
    "attn_layer_period": 8,
    "attn_layer_offset": 4,
    "expert_layer_period": 2,
    "expert_layer_offset": 1,
    "num_experts": 16,
    "num_experts_per_tok": 2,
}
KERNELS = ("causal_convolution", "selective_scan")
PLAIN_CAUSAL = True


def problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """As for attention; offsets inside their periods; no more experts per token than experts."""
    yield from generic.common_problems(settings, DEFAULTS)
    sizes = {**DEFAULTS, **settings}
    for kind in ("attn", "expert"):
        period, offset = sizes[f"{kind}_layer_period"], sizes[f"{kind}_layer_offset"]
        if offset >= period:
            yield f"{kind}_layer_offset: {offset} should be below {kind}_layer_period ({period})"
    if sizes["num_experts_per_tok"] > sizes["num_experts"]:
        chosen, there = sizes["num_experts_per_tok"], sizes["num_experts"]
        yield f"num_experts_per_tok: {chosen} should be at most num_experts ({there})"


def longest_sequence(_settings: Mapping[str, Any]) -> None:
    """Its attention has no positions, so no longest sequence."""


def overrides(_settings: Mapping[str, Any]) -> dict[str, Any]:
    """No cache while training; the router's losses are not part of the comparison."""
    return {"use_cache": False, "output_router_logits": False}
