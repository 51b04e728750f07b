"""OLMo-hybrid's start: all matrices and convolutions normal with 0.02, cut at three standard deviations, no scaling.

A of the gated delta rule is uniform in [0, 16], step sizes as Mamba's. transformers does the same without the cut.
"""

from warmup.architectures.starts import _mamba
from warmup.architectures.starts._laws import Law, Normal, ones
from warmup.architectures.starts._place import Place

SOURCE = (
    "allenai/OLMo-core, src/scripts/official/OLMo-hybrid/OLMo-hybrid-7B-pretrain.py (b0b25a1, 2026-03-04): olmo3_7B, "
    "whose init_method is normal; src/olmo_core/nn/transformer/init.py and nn/attention/recurrent.py (8be24cf, "
    "2026-02-19), init_linear and GatedDeltaNet.init_weights"
)
ADAPTERS = "The token embedding and a head of its own, as all matrices; other tasks' as torch starts them"

SCALE, CUT = 0.02, 3.0


def law(place: Place) -> Law | None:
    """The law of one parameter."""
    match place.path.split("."):
        case ["linear_attn", "A_log" | "dt_bias" | "o_norm", *_] as path:
            return _mamba.recurrence(path[1:], place, _mamba.A_FROM_ZERO)
        case ["self_attn", "q_norm" | "k_norm", "weight"]:
            return ones()
        case ["tokens"] | ["head"] | ["linear_attn" | "self_attn" | "mlp", _, "weight"]:
            return Normal(SCALE, cut=CUT)
        case ["input_layernorm" | "post_attention_layernorm" | "post_feedforward_layernorm" | "norm", "weight"]:
            return ones()
    return None
