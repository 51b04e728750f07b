"""The start of Granite's hybrids: a recurrence as in IBM's LM Engine; transformers' for the rest.

LM Engine exports to this model type, and draws A uniform in [0, 16] and step sizes as Mamba does. Which range its
linear maps had when Granite was trained is not published, so they stay normal with 0.02, transformers'
initializer_range. transformers differs in dt_bias (1, so that every Delta starts near 1.31) and in A (the number of
the head).
"""

from warmup.architectures.starts import _mamba
from warmup.architectures.starts._laws import Law, Normal, ones, zeros
from warmup.architectures.starts._place import Place

SOURCE = (
    "open-lm-engine/lm-engine, lm_engine/modeling_utils/softplus_decay_gate/module.py (727ce9e, 2026-07-07) and "
    "sequence_mixer_blocks/mamba2/module.py (a5bf8b8, 2026-08-03); ranges of the linear maps not public: normal, 0.02"
)
ADAPTERS = "The token embedding and a head of its own, normal with 0.02; other tasks' as torch starts them"

SCALE = 0.02


def law(place: Place) -> Law | None:
    """The law of one parameter."""
    match place.path.split("."):
        case ["mamba", "in_proj" | "out_proj" | "conv1d", "weight"]:
            return Normal(SCALE)
        case ["mamba", "in_proj" | "out_proj" | "conv1d", "bias"]:
            return zeros()
        case ["mamba", *part]:
            return _mamba.recurrence(part, place, _mamba.A_FROM_ZERO)
        case ["tokens"] | ["head"]:
            return Normal(SCALE)
        case ["self_attn", _, "weight"] | ["block_sparse_moe" | "shared_mlp", *_]:
            return Normal(SCALE)
        case ["input_layernorm" | "post_attention_layernorm" | "norm", "weight"]:
            return ones()
    return None
