"""Kimi-Linear's start: the delta attention of flash-linear-attention, where its authors published it; the rest normal.

Matrices and convolutions are normal with 0.02, in that code and by the initializer_range of the released models,
which stands for attention and experts too: their own start is not public. transformers does the same.
"""

from warmup.architectures.starts import _mamba
from warmup.architectures.starts._laws import Law, Normal, ones
from warmup.architectures.starts._place import Place

SOURCE = (
    "fla-org/flash-linear-attention, fla/layers/kda.py (f7c2c19, 2026-08-03) and fla/models/kda/modeling_kda.py "
    "(a1a6bb1, 2026-08-18), _init_weights; latent attention and experts not public: normal, 0.02"
)
ADAPTERS = "The token embedding and a head of its own, normal with 0.02; other tasks' as torch starts them"

SCALE = 0.02


def law(place: Place) -> Law | None:
    """The law of one parameter."""
    match place.path.split("."):
        case ["self_attn", "forget_gate", "A_log" | "dt_bias" as name]:
            return _mamba.recurrence([name], place)
        case ["self_attn", "o_norm" | "kv_a_layernorm" | "q_a_layernorm", "weight"]:
            return ones()
        case ["tokens"] | ["head"] | ["self_attn", *_, "weight"] | ["mlp", *_]:
            return Normal(SCALE)
        case ["input_layernorm" | "post_attention_layernorm" | "norm", "weight"]:
            return ones()
    return None
