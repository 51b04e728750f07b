"""Any model type: arithmetic on the keys that transformers' configurations have in common."""

from collections.abc import Iterator, Mapping
from typing import Any

WIDTH_KEYS = ("hidden_size", "n_embd", "d_model", "embed_dim", "dim")
HEAD_KEYS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
GROUP_KEYS = ("num_key_value_heads",)
DEPTH_KEYS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
POSITION_KEYS = ("max_position_embeddings", "n_positions")

DEFAULTS: dict[str, int] = {}
KERNELS: tuple[str, ...] = (  # any may be used
    *("causal_convolution", "chunk_length", "delta_rule", "linear_recurrence", "selective_scan", "state_space", "wkv"),
)
GPU_KERNELS: tuple[str, ...] = ("token_mixing_cuda",)
PLAIN_CAUSAL = False


def problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """What no network can be built from, as `key: what is wrong and what would be right`."""
    yield from common_problems(settings, DEFAULTS)


def longest_sequence(settings: Mapping[str, Any]) -> tuple[str, int] | None:
    """(key, positions) that the settings limit a sequence to; None where nothing is known."""
    return find(settings, DEFAULTS, POSITION_KEYS)


def overrides(_settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that the experiment needs whatever the entry says."""
    return {}


def find(settings: Mapping[str, Any], defaults: Mapping[str, int], keys: tuple[str, ...]) -> tuple[str, int] | None:
    """The first of `keys` that is a whole number in `settings`, else in `defaults`."""
    for values in (settings, defaults):
        for key in keys:
            if isinstance(values.get(key), int):
                return key, values[key]
    return None


def common_problems(settings: Mapping[str, Any], defaults: Mapping[str, int]) -> Iterator[str]:
    """Sizes below 1; width not divisible by heads; heads not divisible by groups of keys and values."""
    for key in (*WIDTH_KEYS, *HEAD_KEYS, *GROUP_KEYS, *DEPTH_KEYS, *POSITION_KEYS, "vocab_size", "state_size"):
        value = settings.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            if isinstance(value, list):  # sizes per stage, as Swin has them
                continue
            yield f"{key}: {value!r} should be a whole number of at least 1"
            return
    width, heads = find(settings, defaults, WIDTH_KEYS), find(settings, defaults, HEAD_KEYS)
    groups = find(settings, defaults, GROUP_KEYS)
    if width and heads and "head_dim" not in settings and width[1] % heads[1]:
        divisors = [number for number in range(1, width[1] + 1) if width[1] % number == 0]
        yield (
            f"{heads[0]}: {heads[1]} heads do not divide {width[0]} ({width[1]}); "
            f"right would be one of {', '.join(map(str, divisors))}"
        )
    if heads and groups and heads[1] % groups[1]:
        yield f"{groups[0]}: {groups[1]} groups do not divide {heads[0]} ({heads[1]})"
