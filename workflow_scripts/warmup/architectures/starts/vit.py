"""The Vision Transformer's start: Glorot-uniform matrices, a patch embedding of variance 1 / inputs, a head of zeros.

With a head of zeros the first gradient of everything below the head is exactly zero. transformers starts all matrices
normal with 0.02.
"""

from warmup.architectures.starts._laws import Law, Normal, lecun_normal, ones, xavier_uniform, zeros
from warmup.architectures.starts._place import Place

SOURCE = (
    "google-research/vision_transformer, vit_jax/models_vit.py (06862cd): MlpBlock, Encoder1DBlock, AddPositionEmbs, "
    "VisionTransformer; where it names no initialiser flax's default stands (lecun_normal, bias 0)"
)
ADAPTERS = "The classifier, which is the authors' own: zero"

POSITIONS, FEED_FORWARD_BIAS = 0.02, 1e-6


def law(place: Place) -> Law | None:
    """The law of one parameter."""
    match place.path.split("."):
        case ["attention", _, "weight"] | ["mlp", _, "weight"]:
            return xavier_uniform(place.shape[1], place.shape[0])
        case ["mlp", _, "bias"]:
            return Normal(FEED_FORWARD_BIAS)
        case ["embeddings", "position_embeddings"]:
            return Normal(POSITIONS)
        case ["embeddings", "patch_embeddings", "projection", "weight"]:
            return lecun_normal(place.fan_in)
        case ["layernorm_before" | "layernorm_after" | "layernorm", "weight"]:
            return ones()
        case ["output_adapter", "projection", _] if place.pixels:
            return zeros()
        case ["embeddings", "cls_token"] | [*_, "bias"] if not place.path.startswith(("input_", "output_")):
            return zeros()
    return None
