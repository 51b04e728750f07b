"""RWKV-4's start: decays and bonuses spread over channels, mixes over depth, and many matrices at zero.

Key, receptance and output of the time mix and value and receptance of the channel mix start at zero, so that every
block is the identity at first. The embedding is tiny (1e-4): the norm before the first block sees it. transformers
differs in the zeros (orthogonal there) and in time_first, 1 everywhere by a misplaced parenthesis. Both codes take any
matrix [vocabulary, width] for the head, the channel mix of a byte model of width 64 too; here only the head is one.

With h the channel of C, l the layer of L:
    time_decay          -5 + 8 (h / (C - 1)) ** (0.7 + 1.3 l / (L - 1))
    time_first          log(0.3) + 0.5 ((h + 1) mod 3 - 1)
    time_mix_key        (h / C) ** (1 - l / L), in the channel mix time_mix_receptance too
    time_mix_value      the same + 0.3 l / (L - 1)
    time_mix_receptance (h / C) ** (0.5 (1 - l / L)) in the time mix
    other matrices      orthogonal, gain sqrt(out / in) where out > in
"""

import math

import torch

from warmup.architectures.starts._laws import Fixed, Law, Orthogonal, ones, zeros
from warmup.architectures.starts._place import Place

SOURCE = "BlinkDL/RWKV-LM, RWKV-v4/src/model.py (50587bd, 2022-09-05), RWKV_Init, RWKV_TimeMix and RWKV_ChannelMix"
ADAPTERS = (
    "The token embedding (orthogonal, x 1e-4) and a head of its own (orthogonal, x 0.5), both the authors'; a tied "
    "head is the embedding; other tasks' as torch starts them"
)

EMBEDDING_SCALE, HEAD_SCALE = 1e-4, 0.5


def law(place: Place) -> Law | None:
    """The law of one parameter."""
    match place.path.split("."):
        case ["attention", "time_decay"]:
            return _time_decay(place)
        case ["attention", "time_first"]:
            channels = torch.arange(place.shape[0])
            return Fixed(math.log(0.3) + 0.5 * ((channels + 1) % 3 - 1), "log(0.3) plus a zigzag of 0, 0.5, -0.5")
        case ["attention", "time_mix_key"] | ["feed_forward", "time_mix_key" | "time_mix_receptance"]:
            return _time_mix(place)
        case ["attention", "time_mix_value"]:
            return _time_mix(place, above=0.3 * _depth(place))
        case ["attention", "time_mix_receptance"]:
            return _time_mix(place, share=0.5)
        case ["attention", "key" | "receptance" | "output", "weight"] | [
            "feed_forward",
            "value" | "receptance",
            "weight",
        ]:
            return zeros()
        case ["attention", "value", "weight"] | ["feed_forward", "key", "weight"]:
            return _orthogonal(place, 1.0)
        case ["tokens"]:
            rows, columns = place.shape
            return Orthogonal(EMBEDDING_SCALE * math.sqrt(max(rows, columns)), rows, columns)
        case ["head"]:
            return _orthogonal(place, HEAD_SCALE)
        case ["pre_ln" | "ln1" | "ln2" | "ln_out", "weight"]:
            return ones()
        case ["pre_ln" | "ln1" | "ln2" | "ln_out", "bias"]:
            return zeros()
    return None


def _depth(place: Place) -> float:
    """0 in the first layer to 1 in the last."""
    return (place.block or 0) / (place.blocks - 1)


def _time_decay(place: Place) -> Law:
    channels = torch.arange(place.shape[0], dtype=torch.float64)
    speed = -5 + 8 * (channels / (place.shape[0] - 1)) ** (0.7 + 1.3 * _depth(place))
    return Fixed(speed.float(), "-5 to 3 over channels, by a power that grows with depth")


def _time_mix(place: Place, share: float = 1.0, above: float = 0.0) -> Law:
    width = place.shape[-1]
    power = share * (1 - (place.block or 0) / place.blocks)
    mix = (torch.arange(width, dtype=torch.float64) / width) ** power + above
    return Fixed(mix.float(), "0 to 1 over channels, by a power that falls with depth")


def _orthogonal(place: Place, scale: float) -> Law:
    rows, columns = place.shape
    return Orthogonal(scale * math.sqrt(max(1.0, rows / columns)), rows, columns)
