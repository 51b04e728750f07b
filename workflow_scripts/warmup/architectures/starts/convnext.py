"""ConvNeXt's start: convolutions and matrices normal with 0.02, biases 0, each block scaled by almost nothing.

transformers starts the backbone alike. The authors cut their normal distributions at +-2, a hundred standard
deviations.
"""

from warmup.architectures.starts._laws import Fixed, Law, Normal, ones, zeros
from warmup.architectures.starts._place import Place

SOURCE = "facebookresearch/ConvNeXt, models/convnext.py (06f7b05): ConvNeXt._init_weights, Block.gamma, LayerNorm"
ADAPTERS = "The classifier, which is the authors' own: normal with 0.02, bias 0 (head_init_scale 1)"

SCALE = 0.02


def law(place: Place) -> Law | None:
    """The law of one parameter."""
    match place.path.split("."):
        case ["layer_scale_parameter"]:
            scale = place.config.layer_scale_init_value
            return Fixed(scale, f"{scale:g}")
        case ["input_adapter", *_]:
            return None
        case [*_, "bias"]:
            return zeros()
        case [*_, "weight"]:  # norms are the only vectors
            return ones() if len(place.shape) == 1 else Normal(SCALE)
    return None
