"""Hybrids start as far as a source says how: each against formulas written out here once more, at two widths."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import starting
import torch
from scipy import stats
from starting import PAPER_WIDTH, SMALL, entry, follows, normal, rates, sizes, started, step_sizes, uniform

from warmup import registry
from warmup.architectures import model, starts
from warmup.architectures.starts import _laws, _place

HYBRIDS = [
    *("falcon_h1", "bamba", "granitemoehybrid", "nemotron_h", "zamba2", "olmo_hybrid", "kimi_linear"),
    *("recurrent_gemma", "xlstm"),
]
KERNEL = 4


@pytest.fixture(scope="module")
def tasks(prepared: Path) -> dict[str, Any]:
    return starting.tasks(prepared)


@pytest.fixture(params=[SMALL, PAPER_WIDTH])
def width(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def one(*values: torch.Tensor) -> None:
    assert all(bool((each == 1).all()) for each in values)


def torch_convolution(weights: dict[str, torch.Tensor], mixer: str) -> None:
    uniform(weights[f"{mixer}.conv1d.weight"], 1 / math.sqrt(KERNEL))
    uniform(weights[f"{mixer}.conv1d.bias"], 1 / math.sqrt(KERNEL))


def test_falcon_h1_has_mamba2s_recurrence_and_keeps_its_linear_maps(width: int, tasks: dict[str, Any]) -> None:
    weights = started("falcon_h1", sizes("falcon_h1", width), tasks)
    for layer in range(2):
        mixer = f"backbone.layers.{layer}.mamba"
        step_sizes(weights[f"{mixer}.dt_bias"])
        rates(weights[f"{mixer}.A_log"], 1, 16)
        torch_convolution(weights, mixer)
        one(weights[f"{mixer}.D"])
        normal(weights[f"{mixer}.in_proj.weight"], 0.02)
        normal(weights[f"{mixer}.out_proj.weight"], 0.02)
        normal(weights[f"backbone.layers.{layer}.self_attn.q_proj.weight"], 0.02)


def test_bamba_starts_as_the_mamba2_model_class_it_was_trained_with(width: int, tasks: dict[str, Any]) -> None:
    weights = started("bamba", sizes("bamba", width), tasks, tied_head=False)
    mixer, attention = "backbone.layers.0.mamba", "backbone.layers.1.self_attn"
    step_sizes(weights[f"{mixer}.dt_bias"])
    rates(weights[f"{mixer}.A_log"], 1, 16)
    torch_convolution(weights, mixer)
    branches = 2 * 2  # two layers, each with a mixer and a feed-forward
    uniform(weights[f"{mixer}.in_proj.weight"], 1 / math.sqrt(width))
    uniform(weights[f"{mixer}.out_proj.weight"], 1 / math.sqrt(2 * width * branches))
    uniform(weights[f"{attention}.q_proj.weight"], 1 / math.sqrt(width))
    uniform(weights[f"{attention}.o_proj.weight"], 1 / math.sqrt(width * branches))
    for layer in range(2):
        uniform(weights[f"backbone.layers.{layer}.feed_forward.up_proj.weight"], 1 / math.sqrt(width))
        uniform(weights[f"backbone.layers.{layer}.feed_forward.down_proj.weight"], 1 / math.sqrt(2 * width * branches))
    normal(weights["input_adapter.tokens.weight"], 0.02)
    uniform(weights["output_adapter.weight"], 1 / math.sqrt(width))


def test_granite_draws_its_decays_from_zero_on(width: int, tasks: dict[str, Any]) -> None:
    weights = started("granitemoehybrid", sizes("granitemoehybrid", width), tasks)
    mixer = "backbone.layers.0.mamba"
    step_sizes(weights[f"{mixer}.dt_bias"])
    rates(weights[f"{mixer}.A_log"], 0, 16)
    one(weights[f"{mixer}.D"], weights[f"{mixer}.norm.weight"])
    normal(weights[f"{mixer}.conv1d.weight"], 0.02)
    assert not weights[f"{mixer}.conv1d.bias"].any()
    normal(weights[f"{mixer}.in_proj.weight"], 0.02)
    normal(weights["backbone.layers.1.block_sparse_moe.experts.gate_up_proj"], 0.02)


def test_nemotron_h_scales_all_residual_projections_by_the_number_of_layers(width: int, tasks: dict[str, Any]) -> None:
    weights = started("nemotron_h", sizes("nemotron_h", width), tasks, tied_head=False)
    blocks = "backbone.layers"
    scale = math.sqrt(0.8 / width)
    step_sizes(weights[f"{blocks}.0.mixer.dt_bias"])
    rates(weights[f"{blocks}.0.mixer.A_log"], 1, 16)
    torch_convolution(weights, f"{blocks}.0.mixer")
    plain = ("0.mixer.in_proj.weight", "1.mixer.q_proj.weight", "2.mixer.gate.weight", "2.mixer.experts.up_proj")
    for name in (*plain, "2.mixer.shared_experts.up_proj.weight", "3.mixer.up_proj.weight"):
        normal(weights[f"{blocks}.{name}"], scale)
    scaled = ("0.mixer.out_proj.weight", "1.mixer.o_proj.weight", "2.mixer.experts.down_proj")
    for name in (*scaled, "2.mixer.shared_experts.down_proj.weight", "3.mixer.down_proj.weight"):
        normal(weights[f"{blocks}.{name}"], scale / math.sqrt(4))
    normal(weights["input_adapter.tokens.weight"], scale)
    normal(weights["output_adapter.weight"], scale)


@pytest.mark.parametrize(("released_width", "released"), [(8192, 0.0099), (5120, 0.0125), (4096, 0.014)])
def test_nemotron_hs_formula_gives_the_released_deviations(released_width: int, released: float) -> None:
    assert math.sqrt(0.8 / released_width) == pytest.approx(released, rel=0.01)


def test_zamba2_leaves_linear_maps_and_adapters_to_torch(width: int, tasks: dict[str, Any]) -> None:
    weights = started("zamba2", sizes("zamba2", width), tasks)
    for mixer in ("backbone.layers.0.mamba", "backbone.layers.1.mamba_decoder.mamba"):
        step_sizes(weights[f"{mixer}.dt_bias"])
        rates(weights[f"{mixer}.A_log"], 1, 16)
        torch_convolution(weights, mixer)
        uniform(weights[f"{mixer}.in_proj.weight"], 1 / math.sqrt(width))
        uniform(weights[f"{mixer}.out_proj.weight"], 1 / math.sqrt(2 * width * 4))
    shared = "backbone.layers.1.shared_transformer"
    uniform(weights["backbone.layers.3.linear.weight"], 1 / math.sqrt(width))
    uniform(weights[f"{shared}.self_attn.o_proj.weight"], 1 / math.sqrt(2 * width))
    uniform(weights[f"{shared}.feed_forward.down_proj.weight"], 1 / math.sqrt(2 * width))
    for half in (0, 1):
        adapter = weights[f"{shared}.feed_forward.gate_up_proj_adapter_list.0.{half}.weight"]
        uniform(adapter, 1 / math.sqrt(adapter.shape[1]))
    normal(weights["input_adapter.tokens.weight"], 0.02)


def test_olmo_hybrid_cuts_its_normals_at_three_deviations(width: int, tasks: dict[str, Any]) -> None:
    weights = started("olmo_hybrid", sizes("olmo_hybrid", width), tasks, tied_head=False)
    cut = stats.truncnorm(-3, 3, scale=0.02).cdf
    mixer = "backbone.layers.0.linear_attn"
    step_sizes(weights[f"{mixer}.dt_bias"])
    rates(weights[f"{mixer}.A_log"], 0, 16)
    one(weights[f"{mixer}.o_norm.weight"], weights["backbone.layers.1.self_attn.q_norm.weight"])
    names = [f"{mixer}.{part}.weight" for part in ("q_proj", "a_proj", "g_proj", "o_proj", "conv1d")]
    names += ["backbone.layers.1.self_attn.o_proj.weight", "backbone.layers.1.mlp.down_proj.weight"]
    for name in (*names, "input_adapter.tokens.weight", "output_adapter.weight"):
        follows(weights[name], cut)
        assert float(weights[name].abs().max()) <= 0.06


def test_kimi_linear_draws_a_step_size_per_channel_and_a_decay_per_head(width: int, tasks: dict[str, Any]) -> None:
    weights = started("kimi_linear", sizes("kimi_linear", width), tasks)
    mixer = "backbone.layers.0.self_attn"
    assert weights[f"{mixer}.forget_gate.dt_bias"].numel() == width
    step_sizes(weights[f"{mixer}.forget_gate.dt_bias"])
    rates(weights[f"{mixer}.forget_gate.A_log"], 1, 16)
    names = [f"{mixer}.{part}.weight" for part in ("conv1d", "forget_gate.f_a_proj", "g_b_proj", "o_proj")]
    names += ["backbone.layers.1.self_attn.kv_b_proj.weight", "backbone.layers.1.mlp.experts.down_proj"]
    for name in names:
        normal(weights[name], 0.02)


def test_recurrent_gemma_keeps_the_state_on_a_ring_and_scales_by_inputs(width: int, tasks: dict[str, Any]) -> None:
    weights = started("recurrent_gemma", sizes("recurrent_gemma", width), tasks)
    mixer, layers = "backbone.layers.0.temporal_block", 2
    kept = np.exp(-np.log1p(np.exp(weights[f"{mixer}.rg_lru.recurrent_param"].double().numpy())))
    assert kept.min() >= 0.9 * (1 - 1e-6) and kept.max() <= 0.999 * (1 + 1e-6)
    assert stats.kstest(kept**2, stats.uniform(0.81, 0.999**2 - 0.81).cdf).pvalue > starting.CHANCE
    normal(weights[f"{mixer}.rg_lru.input_gate_weight"], 1 / math.sqrt(width / 4))
    normal(weights[f"{mixer}.rg_lru.recurrent_gate_weight"], 1 / math.sqrt(width / 4))
    normal(weights[f"{mixer}.conv_1d.weight"], math.sqrt(0.01 / KERNEL))
    normal(weights[f"{mixer}.linear_y.weight"], 1 / math.sqrt(width))
    normal(weights[f"{mixer}.linear_out.weight"], math.sqrt(2 / layers / width))
    normal(weights["backbone.layers.1.temporal_block.k_proj.weight"], 1 / math.sqrt(width))
    normal(weights["backbone.layers.1.temporal_block.o_proj.weight"], math.sqrt(2 / layers / width))
    normal(weights["backbone.layers.1.mlp_block.gate_proj.weight"], 1 / math.sqrt(width))
    normal(weights["backbone.layers.1.mlp_block.down_proj.weight"], math.sqrt(2 / layers / width))
    normal(weights["input_adapter.tokens.weight"], 1 / math.sqrt(width))
    assert not any(values.any() for name, values in weights.items() if name.endswith(("norm.weight", "bias")))


def test_xlstm_closes_its_gates_and_not_its_feed_forward(width: int, tasks: dict[str, Any]) -> None:
    weights = started("xlstm", sizes("xlstm", width), tasks, tied_head=False)
    small, residual = math.sqrt(2 / (5 * width)), 2 / 2 / math.sqrt(width)
    for layer in range(2):
        mixer, forward = f"backbone.blocks.{layer}.mlstm_layer", f"backbone.blocks.{layer}.ffn"
        for gate in ("igate", "fgate", "ogate"):
            assert not weights[f"{mixer}.{gate}_preact.weight"].any()
        assert weights[f"{mixer}.igate_preact.bias"].tolist() == [-10] * 4
        assert weights[f"{mixer}.fgate_preact.bias"].tolist() == [3, 4, 5, 6]
        for name in (f"{mixer}.q", f"{mixer}.v", f"{forward}.proj_up", f"{forward}.proj_up_gate"):
            normal(weights[f"{name}.weight"], small)
        normal(weights[f"{mixer}.out_proj.weight"], residual)
        normal(weights[f"{forward}.proj_down.weight"], residual)
    normal(weights["input_adapter.tokens.weight"], small)
    normal(weights["output_adapter.weight"], small)


@pytest.mark.parametrize("model_type", HYBRIDS)
def test_every_weight_of_a_hybrid_has_a_law_and_lies_at_no_distance_from_it(
    model_type: str, tasks: dict[str, Any]
) -> None:
    settings = sizes(model_type, SMALL)
    specification = registry.load("architectures.starts", model_type)
    for task in ("language", "series"):
        network = model.build(entry(model_type, settings, tied_head=False), tasks[task], seed=0)
        laws = _place.laws(network, specification)
        left = {name.partition(".")[0] for name, law in laws.items() if law is None}
        assert left == (set() if task == "language" else {"input_adapter", "output_adapter"})
        for name, law in laws.items():
            if law is not None:
                values = network.get_parameter(name).detach()
                limit = math.sqrt(-math.log(starting.CHANCE / 2) / (2 * values.numel()))
                assert law.distance(values) <= (0 if isinstance(law, _laws.Fixed) else limit), name


def test_families_whose_authors_published_no_start_of_their_own_keep_the_librarys() -> None:
    assert [starts.module_name(name) for name in ("qwen3_next", "qwen3_5_text")] == [None, None]
