"""Swin's start: matrices and tables of relative positions normal with 0.02, the patch embedding as torch starts it.

transformers differs in the tables (zero) and in the patch embedding (normal, 0.02, bias 0). The authors cut their
normal distributions at +-2, a hundred standard deviations.
"""

from warmup.architectures.starts._laws import Law, Normal, ones, torch_default, zeros
from warmup.architectures.starts._place import Place

SOURCE = (
    "microsoft/Swin-Transformer, models/swin_transformer.py (055c506): SwinTransformer._init_weights, WindowAttention; "
    "PatchEmbed.proj is left to torch"
)
ADAPTERS = "The classifier, which is the authors' own: normal with 0.02, bias 0"

SCALE = 0.02


def law(place: Place) -> Law | None:
    """The law of one parameter."""
    match place.path.split("."):
        case ["embeddings", "patch_embeddings", "projection", _]:
            return torch_default(place.config.num_channels * place.config.patch_size**2)
        case [*_, "relative_position_bias_table"] | ["attention" | "mlp", _, "weight"] | [*_, "reduction", "weight"]:
            return Normal(SCALE)
        case ["output_adapter", "projection", kind] if place.pixels:
            return Normal(SCALE) if kind == "weight" else zeros()
        case [*_, "norm" | "layernorm" | "layernorm_before" | "layernorm_after", "weight"]:
            return ones()
        case [
            "embeddings" | "attention" | "mlp" | "encoder" | "layernorm" | "layernorm_before" | "layernorm_after",
            *_,
            "bias",
        ]:
            return zeros()
    return None
