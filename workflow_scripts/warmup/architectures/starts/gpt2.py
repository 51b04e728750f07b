"""GPT-2's start: normal, 0.02; positions 0.01; projections into the residual stream scaled down by their number.

transformers differs in the positions alone (0.02).
"""

import math

from warmup.architectures.starts._laws import Law, Normal, ones, zeros
from warmup.architectures.starts._place import Place

SOURCE = (
    "openai/gpt-2, src/model.py (2019, read at 122c55a): conv1d w_init_stdev=0.02, wpe stddev=0.01, wte stddev=0.02. "
    "The factor 1 / sqrt(N) of projections into the residual stream is in the paper (Radford et al. 2019, section "
    "2.3), not in that code"
)
ADAPTERS = (
    "The token embedding, and a head of its own as the embedding it stands for; other tasks' as torch starts them"
)

SCALE, POSITIONS = 0.02, 0.01
RESIDUALS_PER_BLOCK = 2


def law(place: Place) -> Law | None:
    """The law of one parameter."""
    match place.path.split("."):
        case ["tokens"] | ["head"]:
            return Normal(SCALE)
        case ["wpe", "weight"]:
            return Normal(POSITIONS)
        case ["attn" | "mlp", "c_proj", "weight"]:
            return Normal(SCALE / math.sqrt(RESIDUALS_PER_BLOCK * place.blocks))
        case ["attn" | "mlp", "c_attn" | "c_fc", "weight"]:
            return Normal(SCALE)
        case ["attn" | "mlp", _, "bias"] | ["ln_1" | "ln_2" | "ln_f", "bias"]:
            return zeros()
        case ["ln_1" | "ln_2" | "ln_f", "weight"]:
            return ones()
    return None
