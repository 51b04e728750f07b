"""A start for Llama: Meta's models were released without theirs, so that of PyTorch's own training of Llama 3 is taken.

Matrices normal with 0.02, those that write into the residual stream (and the up projection) divided by
sqrt(2 (layer + 1)); the head normal with width ** -0.5, cut at three standard deviations, tied or not; an embedding
that is not tied to it normal with 1. transformers starts all matrices normal with 0.02.
"""

import math

from warmup.architectures.starts._laws import Law, Normal, ones
from warmup.architectures.starts._place import Place

SOURCE = (
    "meta-llama/llama initialises nothing (init_method=lambda x: x); pytorch/torchtitan, torchtitan/models/llama3/"
    "__init__.py (73aed7f, 2026-08-20): _LINEAR_INIT, _depth_init, _EMBEDDING_INIT, _output_linear_init"
)
ADAPTERS = "The token embedding and the head; other tasks' as torch starts them"

SCALE, EMBEDDING = 0.02, 1.0
HEAD_CUT = 3.0
RESIDUALS_PER_BLOCK = 2


def law(place: Place) -> Law | None:
    """The law of one parameter."""
    match place.path.split("."):
        case ["tokens"] if not place.tied:
            return Normal(EMBEDDING)
        case ["tokens"] | ["head"]:
            return Normal(place.shape[1] ** -0.5, cut=HEAD_CUT)
        case ["self_attn", "o_proj", "weight"] | ["mlp", "down_proj" | "up_proj", "weight"]:
            return Normal(SCALE / math.sqrt(RESIDUALS_PER_BLOCK * ((place.block or 0) + 1)))
        case ["self_attn" | "mlp", _, "weight"]:
            return Normal(SCALE)
        case ["input_layernorm" | "post_attention_layernorm" | "norm", "weight"]:
            return ones()
    return None
