"""Nemotron-H's start, of NVIDIA's own training code: matrices normal, 0.9 / sqrt(width), residual ones scaled down.

The released scripts give the standard deviation 0.0099 at width 8,192, 0.0125 at 5,120 and 0.014 at 4,096, all within
1 % of sqrt(0.8 / width): taken for every width. What writes into the residual stream is divided by the root of the
number of layers (each is one mixer, attention or feed-forward). The convolution is torch's, the recurrence Mamba-2's.
transformers differs in A (the number of the head), in the convolution (normal, 0.02, bias 0) and in what is scaled
down (out_proj of the Mamba layers alone, uniform).
"""

import math

from warmup.architectures.starts import _mamba
from warmup.architectures.starts._laws import Law, Normal, ones
from warmup.architectures.starts._place import Place

SOURCE = (
    "NVIDIA/Megatron-LM, megatron/core/ssm/mamba_mixer.py (436bae0, 2026-08-22) and megatron/core/transformer/"
    "transformer_config.py (d98e8a6, 2026-08-22): init_method, output_layer_init_method with multiplier 1 for hybrids; "
    "--init-method-std of examples/rl/model_configs/nemotron5_8b.sh, nemotron5p5_12b_H.sh and examples/post_training/"
    "modelopt/conf/nvidia/Nemotron-H-56B-Base-8K.sh (60408d5, 2026-04-23)"
)
ADAPTERS = "The token embedding and a head of its own, normal as all matrices; other tasks' as torch starts them"

VARIANCE_TIMES_WIDTH = 0.8


def law(place: Place) -> Law | None:
    """The law of one parameter."""
    scale = math.sqrt(VARIANCE_TIMES_WIDTH / place.config.hidden_size)
    match place.path.removesuffix(".weight").split("."):
        case ["tokens"] | ["head"]:
            return Normal(scale)
        case ["norm" | "norm_f"]:
            return ones()
        case ["mixer", *_, "out_proj" | "o_proj" | "down_proj"]:
            return Normal(scale / math.sqrt(place.blocks))
        case ["mixer", *_, "in_proj" | "q_proj" | "k_proj" | "v_proj" | "up_proj" | "gate"]:
            return Normal(scale)
    part = place.path.split(".")[1:]
    return _mamba.recurrence(part, place) or _mamba.convolution(part, place)
