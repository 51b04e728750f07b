"""Falcon-H1's start: Mamba-2's recurrence and convolution, since TII's own is not public; transformers' for the rest.

The rest is normal with 0.02, transformers' initializer_range for it. Its multipliers (of keys, of the mixers' inputs
and outputs, of the head) were tuned with a start that was not published, so its linear maps stay with the range that
they were released with, and are not Mamba-2's. transformers differs in the recurrence: dt_bias is 1, so that every
step size Delta starts near softplus(1) = 1.31 instead of between 0.001 and 0.1, and A is the number of the head.
"""

from warmup.architectures.starts import _mamba
from warmup.architectures.starts._laws import Law, Normal, ones, zeros
from warmup.architectures.starts._place import Place

SOURCE = f"not public; recurrence and convolution of its mixers as {_mamba.MAMBA_2}; all else normal, 0.02"
ADAPTERS = "The token embedding and a head of its own, normal with 0.02; other tasks' as torch starts them"

SCALE = 0.02


def law(place: Place) -> Law | None:
    """The law of one parameter."""
    match place.path.split("."):
        case ["mamba", "in_proj" | "out_proj", "weight"] | ["self_attn" | "feed_forward", _, "weight"]:
            return Normal(SCALE)
        case ["mamba", "in_proj" | "out_proj", "bias"] | ["self_attn" | "feed_forward", _, "bias"]:
            return zeros()
        case ["mamba", *part]:
            return _mamba.recurrence(part, place) or _mamba.convolution(part, place)
        case ["tokens"] | ["head"]:
            return Normal(SCALE)
        case ["input_layernorm" | "pre_ff_layernorm" | "final_layernorm", "weight"]:
            return ones()
    return None
