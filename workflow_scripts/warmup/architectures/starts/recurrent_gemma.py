"""RecurrentGemma's start: matrices normal with variance 1 / inputs, and a ring of decays.

What writes into the residual stream has variance 2 / (layers x inputs), the convolution 0.01 / kernel; the embedding
has 1 / width, and is multiplied by sqrt(width) inside the network. Norms multiply by 1 + weight, so weights start at
0. The recurrence keeps the share a of its state, a^2 uniform in [0.9^2, 0.999^2]. transformers differs in embedding
and feed-forward (normal, 0.05, whatever the width) and in the gates of the recurrence (variance 0.01 / inputs): it
takes the convolution's 0.01 for them.
"""

import math

from warmup.architectures.starts._laws import Law, Normal, Ring, zeros
from warmup.architectures.starts._place import Place

SOURCE = (
    "google-deepmind/recurrentgemma, recurrentgemma/torch/modules.py, layers.py and griffin.py (2a3dde4, 2024-06-11): "
    "reset_parameters, rnn_param_init, final_w_init_variance_scale = 2 / num_layers"
)
ADAPTERS = (
    "The token embedding, and a head of its own as the embedding it stands for; other tasks' as torch starts them"
)

CONVOLUTION, RESIDUAL = 0.01, 2.0
RING = (0.9, 0.999)


def law(place: Place) -> Law | None:
    """The law of one parameter."""
    match place.path.split("."):
        case ["tokens"] | ["head"]:
            return Normal(place.shape[1] ** -0.5)
        case ["temporal_block", "conv_1d", "weight"]:
            return Normal(math.sqrt(CONVOLUTION / place.fan_in))
        case ["temporal_block", "rg_lru", "recurrent_param"]:
            return Ring(*RING)
        case ["temporal_block", "rg_lru", "input_gate_weight" | "recurrent_gate_weight"]:
            return Normal(place.shape[-1] ** -0.5)
        case ["temporal_block" | "mlp_block", "linear_out" | "o_proj" | "down_proj", "weight"]:
            return Normal(math.sqrt(RESIDUAL / (place.blocks * place.fan_in)))
        case ["temporal_block" | "mlp_block", _, "weight"]:
            return Normal(place.fan_in**-0.5)
        case ["temporal_block" | "mlp_block", *_, "bias" | "input_gate_bias" | "recurrent_gate_bias"]:
            return zeros()
        case ["temporal_pre_norm" | "channel_pre_norm" | "final_norm", "weight"]:
            return zeros()
    return None
