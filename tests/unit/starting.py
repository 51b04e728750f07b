"""Networks as their specification starts them, their sizes, and what their weights are asked: for tests of starts."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from warmup.architectures import model, roles
from warmup.tasks import classification, forecasting, language

CHANCE = 1e-6
"""A right start is refused once in a million looks at a parameter."""

SMALL, PAPER_WIDTH = 64, 768
PIXELS = ("vit", "swin", "convnext")
"""Families that take images as they are."""


def sizes(model_type: str, width: int) -> dict[str, Any]:
    """Settings of two layers (Nemotron-H and Zamba2: four) at `width`."""
    attention = {"num_attention_heads": 4, "num_key_value_heads": 2}
    forward = {"intermediate_size": 2 * width}
    mamba = {"mamba_n_heads": width // 8, "mamba_d_head": 16, "mamba_d_state": 16, "mamba_n_groups": 1}
    delta = {
        "layer_types": ["linear_attention", "full_attention"],
        "linear_num_key_heads": width // 16,
        "linear_num_value_heads": width // 16,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
    }
    experts = {"num_experts_per_tok": 2, "moe_intermediate_size": width}
    own: dict[str, dict[str, Any]] = {
        "llama": {**attention, **forward},
        "falcon_mamba": {"state_size": 16},
        "mamba2": {"num_heads": width // 8, "head_dim": 16, "state_size": 16, "n_groups": 1},
        "falcon_h1": {**attention, **forward, **mamba, "mamba_d_ssm": 2 * width},
        "bamba": {**attention, **forward, **mamba, "attn_layer_indices": [1]},
        "granitemoehybrid": {
            **attention,
            **forward,
            **mamba,
            "layer_types": ["mamba", "attention"],
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "shared_intermediate_size": width,
        },
        "nemotron_h": {
            **attention,
            **forward,
            **experts,
            "head_dim": 16,
            "mamba_num_heads": width // 8,
            "mamba_head_dim": 16,
            "ssm_state_size": 16,
            "n_groups": 1,
            "n_routed_experts": 4,
            "moe_shared_expert_intermediate_size": width,
            "layers_block_type": ["mamba", "attention", "moe", "mlp"],
        },
        "zamba2": {
            **forward,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "num_hidden_layers": 4,
            "n_mamba_heads": width // 8,
            "mamba_headdim": 16,
            "mamba_d_state": 16,
            "mamba_ngroups": 1,
            "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
            "num_mem_blocks": 1,
        },
        "olmo_hybrid": {**attention, **forward, **delta, "num_key_value_heads": 4},
        "kimi_linear": {
            **attention,
            **forward,
            **experts,
            "num_key_value_heads": 4,
            "layer_types": ["linear_attention", "full_attention"],
            "mlp_layer_types": ["dense", "sparse"],
            "linear_head_dim": 16,
            "linear_num_heads": width // 16,
            "kv_lora_rank": 16,
            "qk_rope_head_dim": 8,
            "qk_nope_head_dim": 8,
            "v_head_dim": 16,
            "num_experts": 4,
        },
        "recurrent_gemma": {
            **forward,
            "lru_width": width,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": width // 4,
            "block_types": ["recurrent", "attention"],
        },
        "xlstm": {"embedding_dim": width, "num_heads": 4},
    }
    depth = {} if model_type == "nemotron_h" else {"num_hidden_layers": 2}
    return {"hidden_size": width, **depth, **own[model_type]}


def tasks(prepared: Path) -> dict[str, Any]:
    """One small task of each kind."""
    batch = {"batch_size": 3, "validation_examples": 6}
    return {
        "language": language.Task({"kind": "language", "sequence_length": 12, **batch}, prepared / "language"),
        "images": classification.Task({"kind": "classification", "patch_size": 4, **batch}, prepared / "images"),
        "series": forecasting.Task(
            {"kind": "forecasting", "context": 12, "horizon": 3, "patch_length": 3, **batch}, prepared / "series"
        ),
    }


def entry(model_type: str, settings: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An entry of the configuration that starts as its authors start it."""
    pixels = model_type in PIXELS
    base = {"model_type": model_type, "input": "pixels" if pixels else "embeddings", "tied_head": True}
    return {**base, "settings": settings, "interventions": {}, "initialisation": "authors", **changes}


def started(
    model_type: str, settings: dict[str, Any], tasks: dict[str, Any], seed: int = 0, **changes: Any
) -> dict[str, torch.Tensor]:
    """Initial values of everything that is trained, by name."""
    task = tasks["images" if model_type in PIXELS else changes.pop("task", "language")]
    network = model.build(entry(model_type, settings, **changes), task, seed)
    return {name: parameter.detach() for name, parameter in roles.trained(network)}


def normal(values: torch.Tensor, deviation: float) -> None:
    """`values` look like independent draws of N(0, deviation^2)."""
    follows(values, stats.norm(scale=deviation).cdf)
    assert_moments(values, deviation)


def uniform(values: torch.Tensor, bound: float) -> None:
    """`values` look like independent draws, uniform within +-bound."""
    assert float(values.abs().max()) <= bound * (1 + 1e-6)
    follows(values, stats.uniform(-bound, 2 * bound).cdf)
    assert_moments(values, bound / math.sqrt(3))


def follows(values: torch.Tensor, cumulative: Any) -> None:
    """`values` look like independent draws of this distribution."""
    flat: NDArray[Any] = values.double().flatten().numpy()
    assert stats.kstest(flat, cumulative).pvalue > CHANCE


def assert_moments(values: torch.Tensor, deviation: float) -> None:
    """Mean 0 and this standard deviation, up to chance."""
    count = values.numel()
    assert abs(float(values.mean())) < 6 * deviation / math.sqrt(count)
    assert abs(float(values.std()) / deviation - 1) < 6 / math.sqrt(count)


def step_sizes(bias: torch.Tensor) -> None:
    """softplus(bias) log-uniform in [0.001, 0.1]."""
    steps = np.log1p(np.exp(bias.double().numpy()))
    assert steps.min() >= 0.001 * (1 - 1e-4) and steps.max() <= 0.1 * (1 + 1e-4)
    assert stats.kstest(np.log(steps), stats.uniform(math.log(0.001), math.log(100)).cdf).pvalue > CHANCE


def rates(log: torch.Tensor, low: float, high: float) -> None:
    """exp(log) uniform in [low, high]."""
    values = log.double().flatten().exp().numpy()
    assert values.min() >= low * (1 - 1e-6) and values.max() <= high * (1 + 1e-6)
    assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > CHANCE
