"""Jamba's start: Mamba's for its Mamba layers, since AI21's own is not public; transformers' for the rest.

The rest (attention, experts, router, embedding) is normal with 0.02, the initializer_range that AI21 released with the
weights. A block has two residual branches, a mixer and a feed-forward, so out_proj is divided by sqrt(2 x layers), as
Mamba's code does for models with feed-forwards. transformers differs in the step sizes above all: dt_proj.bias is 0, so
that Delta starts near softplus(0) = 0.69 instead of between 0.001 and 0.1.
"""

from warmup.architectures.starts import _mamba
from warmup.architectures.starts._laws import Law, Normal, ones
from warmup.architectures.starts._place import Place

SOURCE = f"not public; its Mamba layers as {_mamba.MAMBA}; all else normal, 0.02 (its released initializer_range)"
ADAPTERS = "The token embedding and a head of its own, normal with 0.02; other tasks' as torch starts them"

SCALE = 0.02
RESIDUALS_PER_BLOCK = 2


def law(place: Place) -> Law | None:
    """The law of one parameter."""
    match place.path.split("."):
        case ["mamba", "dt_layernorm" | "b_layernorm" | "c_layernorm", "weight"]:
            return ones()
        case ["mamba", *part]:
            return _mamba.selective(part, place, residuals=RESIDUALS_PER_BLOCK * place.blocks)
        case ["tokens"] | ["head"]:
            return Normal(SCALE)
        case ["self_attn", _, "weight"] | ["feed_forward", *_]:
            return Normal(SCALE)
        case ["input_layernorm" | "pre_ff_layernorm" | "final_layernorm", "weight"]:
            return ones()
    return None
