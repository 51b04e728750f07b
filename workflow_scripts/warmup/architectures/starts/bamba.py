"""Bamba's start: Mamba-2's of state-spaces/mamba, with whose own model class it was trained, attention included.

Linear maps as torch starts them, uniform within 1 / sqrt(inputs); those that write into the residual stream (out_proj
of mixers and attention, fc2 of the feed-forward) divided by sqrt(2 x layers), since a block has two branches; the
embedding normal with 0.02. transformers differs in all linear maps and convolutions (normal, 0.02, biases 0), in
dt_bias (1, so that Delta starts near 1.31) and in A (the number of the head).
"""

import math

from warmup.architectures.starts import _mamba
from warmup.architectures.starts._laws import Law, Uniform, torch_default
from warmup.architectures.starts._place import Place

SOURCE = (
    "foundation-model-stack/fms-fsdp, main_training_mamba.py (5a296af, 2025-07-10), which trains MambaLMHeadModel of "
    f"{_mamba.MAMBA_2}; modules/mha.py (a07ff1b, 2024-08-06) and modules/mlp.py for its attention and feed-forward"
)
ADAPTERS = "The token embedding and a head of its own (torch's Linear); other tasks' as torch starts them"

RESIDUALS_PER_BLOCK = 2


def law(place: Place) -> Law | None:
    """The law of one parameter."""
    residuals = RESIDUALS_PER_BLOCK * place.blocks
    match place.path.split("."):
        case ["mamba", *part]:
            return _mamba.by_head(part, place, residuals)
        case ["self_attn", "o_proj", "weight"] | ["feed_forward", "down_proj", "weight"]:
            return Uniform(1 / math.sqrt(place.fan_in * residuals))
        case ["self_attn" | "feed_forward", _, "weight"]:
            return torch_default(place.fan_in)
    return _mamba.around(place)
