"""Swin: attention in shifted windows, width doubling from stage to stage."""

from collections.abc import Iterator, Mapping
from typing import Any

DEFAULTS = {"embed_dim": 96}
DEFAULT_DEPTHS = [2, 2, 6, 2]
DEFAULT_HEADS = [3, 6, 12, 24]
KERNELS: tuple[str, ...] = ()
PLAIN_CAUSAL = False


def problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """Unequal numbers of stages; heads that do not divide their stage's width."""
    depths, heads = settings.get("depths", DEFAULT_DEPTHS), settings.get("num_heads", DEFAULT_HEADS)
    width = settings.get("embed_dim", DEFAULTS["embed_dim"])
    if not isinstance(width, int) or width < 1:
        yield f"embed_dim: {width!r} should be a whole number of at least 1"
        return
    if len(depths) != len(heads):
        yield f"num_heads: {list(heads)} should have one number per stage of depths ({list(depths)})"
        return
    for stage, number in enumerate(heads):
        if (width << stage) % number:
            own = f"embed_dim x 2^{stage} = {width << stage}"
            yield f"num_heads: {number} heads do not divide the width of stage {stage} ({own})"


def longest_sequence(_settings: Mapping[str, Any]) -> None:
    """Follows from the image."""


def overrides(_settings: Mapping[str, Any]) -> dict[str, Any]:
    """No stochastic depth unless the entry asks for it."""
    return {"drop_path_rate": 0.0}
