"""The mixers of Mamba and Mamba-2 as state-spaces/mamba starts them, for every family that has one.

Delta = softplus(dt_bias) log-uniform in [0.001, 0.1], at least 1e-4
A_log = log(1 ... N) for each channel (Mamba, S4D-real) or log of a number uniform in [1, 16] per head (Mamba-2)
D     = 1
linear maps and convolution as torch starts them, uniform within 1 / sqrt(inputs), the convolution's bias too
dt_proj.weight uniform within rank ** -0.5
out_proj divided by the root of the number of residual branches of the model
"""

import math

import torch

from warmup.architectures.starts._laws import (
    Fixed,
    Law,
    LogOfUniform,
    Normal,
    StepSize,
    Uniform,
    ones,
    torch_default,
    zeros,
)
from warmup.architectures.starts._place import Place

MAMBA = (
    "state-spaces/mamba, mamba_ssm/modules/mamba_simple.py (60dadf2, 2024-06-02), class Mamba, and "
    "mamba_ssm/models/mixer_seq_simple.py (b3cae1b, 2026-06-10), _init_weights"
)
MAMBA_2 = (
    "state-spaces/mamba, mamba_ssm/modules/mamba2.py (6b72c12, 2024-10-07), class Mamba2, and "
    "mamba_ssm/models/mixer_seq_simple.py (b3cae1b, 2026-06-10), _init_weights"
)
EMBEDDING = 0.02
A_RANGE = (1.0, 16.0)
A_FROM_ZERO = (0.0, 16.0)
"""Of the gated delta rule, and of Mamba-2 as IBM trains it."""


def selective(part: list[str], place: Place, residuals: int) -> Law | None:
    """Law of a parameter of a Mamba mixer, named by its path inside the mixer; residuals: branches of the model."""
    match part:
        case ["A_log"]:
            states = torch.arange(1, place.shape[-1] + 1, dtype=torch.float32)
            return Fixed(states.log(), "log of the number of the state, from 1")
        case ["dt_proj", "weight"]:
            return Uniform(place.shape[-1] ** -0.5)
        case ["dt_proj", "bias"]:
            return _step_size(place)
        case ["D"]:
            return ones()
    return _common(part, place, residuals)


def by_head(part: list[str], place: Place, residuals: int) -> Law | None:
    """Law of a parameter of a Mamba-2 mixer, named by its path inside the mixer."""
    return recurrence(part, place) or _common(part, place, residuals)


def recurrence(part: list[str], place: Place, rates: tuple[float, float] = A_RANGE) -> Law | None:
    """Law of what a recurrence with a decay per head has beside its linear maps and convolution."""
    match part:
        case ["A_log"]:
            return LogOfUniform(*rates)
        case ["dt_bias"]:
            return _step_size(place)
        case ["D"] | ["norm" | "o_norm", "weight"]:
            return ones()
    return None


def convolution(part: list[str], place: Place) -> Law | None:
    """Law of the convolution before a recurrence, as torch starts it."""
    match part:
        case ["conv1d", "weight"]:
            return torch_default(place.fan_in)
        case ["conv1d", "bias"]:
            return torch_default(_setting(place, "conv_kernel", "mamba_d_conv"))
    return None


def _common(part: list[str], place: Place, residuals: int) -> Law | None:
    match part:
        case ["in_proj" | "x_proj", "weight"]:
            return torch_default(place.fan_in)
        case ["out_proj", "weight"]:
            return Uniform(1 / math.sqrt(place.fan_in * residuals))
        case ["in_proj" | "out_proj", "bias"]:
            return zeros()
    return convolution(part, place)


def _step_size(place: Place) -> StepSize:
    """With the range of the configuration where it has one: its defaults are the authors'."""
    config, usual = place.config, StepSize()
    return StepSize(
        getattr(config, "time_step_min", usual.low),
        getattr(config, "time_step_max", usual.high),
        getattr(config, "time_step_floor", usual.floor),
    )


def _setting(place: Place, *names: str) -> int:
    """The first of `names` that the model type's configuration has."""
    return next(int(getattr(place.config, name)) for name in names if hasattr(place.config, name))


def around(place: Place) -> Law | None:
    """Law of what stands around the mixers of a Mamba: embedding, head, norms."""
    match place.path.split("."):
        case ["tokens"]:
            return Normal(EMBEDDING)
        case ["head"]:
            return torch_default(place.fan_in)
        case ["norm" | "norm_f" | "input_layernorm" | "pre_ff_layernorm" | "final_layernorm", "weight"]:
            return ones()
    return None
