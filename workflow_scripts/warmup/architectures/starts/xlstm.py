"""xLSTM's start, of the code that trained the 7B model: gates that are closed at first, and small matrices.

Matrices normal with sqrt(2 / (5 width)), those that write into the residual stream with 2 / (layers sqrt(width)). The
input gate has weight 0 and bias -10, the forget gate weight 0 and biases from 3 to 6 over the heads, the output gate
weight 0. transformers differs in the feed-forward: proj_up_gate is 0, since its name has "gate" in it, and proj_down
is scaled by its own inputs instead of the width.
"""

import math

import torch

from warmup.architectures.starts._laws import Fixed, Law, Normal, ones, zeros
from warmup.architectures.starts._place import Place

SOURCE = (
    "NX-AI/xlstm-jax, configs/model/mLSTMv1_7B.yaml (ea55048, 2024-11-06), xlstm_jax/models/xlstm_parallel/blocks/"
    "mlstm/layer_v1.py and components/feedforward.py (feb7e08, 2024-12-11), shared/init.py: small_init, wang_init"
)
ADAPTERS = (
    "The token embedding and a head of its own, normal with sqrt(2 / (5 width)); other tasks' as torch starts them"
)

INPUT_GATE, FORGET_GATE = -10.0, (3.0, 6.0)


def law(place: Place) -> Law | None:
    """The law of one parameter; of networks with one matrix per projection, not of those that fuse them."""
    width = place.config.hidden_size
    match place.path.split("."):
        case ["mlstm_layer", "igate_preact" | "fgate_preact" | "ogate_preact", "weight"]:
            return zeros()
        case ["mlstm_layer", "igate_preact", "bias"]:
            return Fixed(INPUT_GATE, f"{INPUT_GATE:g}")
        case ["mlstm_layer", "fgate_preact", "bias"]:
            return Fixed(torch.linspace(*FORGET_GATE, place.shape[0]), "from 3 to 6 over the heads")
        case ["mlstm_layer", "out_proj", "weight"] | ["ffn", "proj_down", "weight"]:
            return Normal(2 / (place.blocks * math.sqrt(width)))
        case ["mlstm_layer", "q" | "k" | "v", "weight"] | ["ffn", "proj_up" | "proj_up_gate", "weight"]:
            return Normal(math.sqrt(2 / (5 * width)))
        case ["mlstm_layer" | "ffn", _, "bias"]:
            return zeros()
        case ["tokens"] | ["head"]:
            return Normal(math.sqrt(2 / (5 * width)))
        case ["norm_mlstm" | "norm_ffn" | "out_norm", "weight"] | ["mlstm_layer", "multihead_norm", "weight"]:
            return ones()
    return None
