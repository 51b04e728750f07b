"""Zamba2's start, of the code that Zyphra released with it: linear maps as torch starts them, a Mamba-2 recurrence.

out_proj of the Mamba-2 layers is divided by the root of the number of layers, the embedding normal with 0.02; both
halves of the low-rank adapters of the shared block are torch's, so that they change it from the start. The
configuration there has an init_method that this code does not use. transformers differs in all linear maps and
convolutions (normal, 0.02) and in A (the number of the head).
"""

from warmup.architectures.starts import _mamba
from warmup.architectures.starts._laws import Law, ones, torch_default
from warmup.architectures.starts._place import Place

SOURCE = "Zyphra/Zamba2, mamba2_layer.py (6866df1, 2024-11-19), mamba_model.py, _init_weights, attention.py and mlp.py"
ADAPTERS = "The token embedding and a head of its own (torch's Linear); other tasks' as torch starts them"


def law(place: Place) -> Law | None:
    """The law of one parameter."""
    match place.path.split("."):
        case ["mamba", *part] | ["mamba_decoder", "mamba", *part]:
            return _mamba.by_head(part, place, residuals=place.blocks)
        case ["linear", "weight"] | ["shared_transformer", "self_attn" | "feed_forward", *_, "weight"]:
            return torch_default(place.fan_in)
        case ["mamba_decoder" | "shared_transformer", "input_layernorm" | "pre_ff_layernorm", "weight"]:
            return ones()
    return _mamba.around(place)
