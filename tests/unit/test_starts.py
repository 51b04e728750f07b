"""Networks start as their authors start them: each specification against formulas written out here once more."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import starting
import torch
from scipy import stats
from starting import CHANCE, PAPER_WIDTH, PIXELS, SMALL, entry, follows, normal, sizes, started, step_sizes, uniform

from warmup import registry
from warmup.architectures import model, starts
from warmup.architectures.starts import _laws, _place
from warmup.config import configuration, grid
from warmup.errors import ConfigurationError

FAMILIES = ["gpt2", "mamba", "jamba", "rwkv", "vit", "swin", "convnext"]
SIZED = ["mamba2", "falcon_mamba", "llama"]


@pytest.fixture(scope="module")
def tasks(prepared: Path) -> dict[str, Any]:
    return starting.tasks(prepared)


def laptop(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Settings of an architecture at laptop size; pictures of the test are 8 x 8."""
    settings = dict(configuration.effective(config)["architectures"][name]["settings"])
    return settings | ({"window_size": 2} if name == "swin" else {})


def paper(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Paper size, few layers and a small vocabulary."""
    settings = dict(configuration.effective({**config, "scale": "paper"})["architectures"][name]["settings"])
    few = {"n_layer": 2} if name == "gpt2" else {"depths": [2, 1, 1]} if name == "swin" else {"num_hidden_layers": 2}
    if name == "jamba":
        few |= {"attn_layer_period": 2, "attn_layer_offset": 1}
    settings.pop("vocab_size", None)
    return {**settings, **few}


@pytest.fixture(params=["laptop", "paper"])
def size(request: pytest.FixtureRequest) -> Any:
    return laptop if request.param == "laptop" else paper


def test_gpt2_starts_normal_with_smaller_positions_and_residual_projections(
    config: dict[str, Any], tasks: dict[str, Any], size: Any
) -> None:
    weights = started("gpt2", size(config, "gpt2"), tasks)
    layers = 2
    normal(weights["input_adapter.tokens.weight"], 0.02)
    normal(weights["backbone.wpe.weight"], 0.01)
    for layer in range(layers):
        block = f"backbone.h.{layer}"
        normal(weights[f"{block}.attn.c_attn.weight"], 0.02)
        normal(weights[f"{block}.mlp.c_fc.weight"], 0.02)
        for branch in ("attn", "mlp"):
            normal(weights[f"{block}.{branch}.c_proj.weight"], 0.02 / math.sqrt(2 * layers))
            assert not weights[f"{block}.{branch}.c_proj.bias"].any()


def check_mamba_mixer(weights: dict[str, torch.Tensor], mixer: str, branches: int) -> None:
    width = weights[f"{mixer}.in_proj.weight"].shape[1]
    inner, rank = weights[f"{mixer}.dt_proj.weight"].shape
    states = weights[f"{mixer}.A_log"].shape[1]
    uniform(weights[f"{mixer}.in_proj.weight"], 1 / math.sqrt(width))
    uniform(weights[f"{mixer}.x_proj.weight"], 1 / math.sqrt(inner))
    uniform(weights[f"{mixer}.conv1d.weight"], 1 / math.sqrt(4))
    uniform(weights[f"{mixer}.conv1d.bias"], 1 / math.sqrt(4))
    uniform(weights[f"{mixer}.dt_proj.weight"], 1 / math.sqrt(rank))
    uniform(weights[f"{mixer}.out_proj.weight"], 1 / math.sqrt(inner * branches))
    step_sizes(weights[f"{mixer}.dt_proj.bias"])
    assert torch.allclose(
        weights[f"{mixer}.A_log"], torch.tensor([math.log(n) for n in range(1, states + 1)]).expand(inner, -1)
    )
    assert bool((weights[f"{mixer}.D"] == 1).all())


def test_mamba_starts_as_torch_with_its_own_step_sizes_and_states(
    config: dict[str, Any], tasks: dict[str, Any], size: Any
) -> None:
    weights = started("mamba", size(config, "mamba"), tasks)
    normal(weights["input_adapter.tokens.weight"], 0.02)
    for layer in range(2):
        check_mamba_mixer(weights, f"backbone.layers.{layer}.mixer", branches=2)


@pytest.mark.parametrize("width", [SMALL, PAPER_WIDTH])
def test_falcon_mamba_starts_as_mamba(width: int, tasks: dict[str, Any]) -> None:
    weights = started("falcon_mamba", sizes("falcon_mamba", width), tasks)
    check_mamba_mixer(weights, "backbone.layers.1.mixer", branches=2)


@pytest.mark.parametrize("width", [SMALL, PAPER_WIDTH])
def test_mamba2_draws_decay_rates_and_step_sizes_per_head(width: int, tasks: dict[str, Any]) -> None:
    settings = {**sizes("mamba2", width), "num_heads": 4 * width, "head_dim": 1, "expand": 4}
    weights = started("mamba2", settings, tasks)
    mixer = "backbone.layers.0.mixer"
    starting.rates(weights[f"{mixer}.A_log"], 1, 16)
    step_sizes(weights[f"{mixer}.dt_bias"])
    uniform(weights[f"{mixer}.in_proj.weight"], 1 / math.sqrt(width))
    uniform(weights[f"{mixer}.conv1d.weight"], 1 / math.sqrt(4))
    uniform(weights[f"{mixer}.conv1d.bias"], 1 / math.sqrt(4))
    uniform(weights[f"{mixer}.out_proj.weight"], 1 / math.sqrt(4 * width * 2))
    assert bool((weights[f"{mixer}.D"] == 1).all()) and bool((weights[f"{mixer}.norm.weight"] == 1).all())
    normal(weights["input_adapter.tokens.weight"], 0.02)


def test_jamba_starts_its_mamba_layers_as_mamba_and_the_rest_with_the_released_range(
    config: dict[str, Any], tasks: dict[str, Any], size: Any
) -> None:
    weights = started("jamba", size(config, "jamba"), tasks)
    check_mamba_mixer(weights, "backbone.layers.0.mamba", branches=4)
    normal(weights["input_adapter.tokens.weight"], 0.02)
    normal(weights["backbone.layers.1.self_attn.q_proj.weight"], 0.02)
    normal(weights["backbone.layers.1.feed_forward.experts.gate_up_proj"], 0.02)


def test_rwkv_spreads_decays_and_bonuses_and_starts_blocks_as_the_identity(
    config: dict[str, Any], tasks: dict[str, Any], size: Any
) -> None:
    weights = started("rwkv", size(config, "rwkv"), tasks, tied_head=False)
    layers = 2
    for layer in range(layers):
        mix, channels = f"backbone.blocks.{layer}.attention", f"backbone.blocks.{layer}.feed_forward"
        count = weights[f"{mix}.time_decay"].shape[0]
        depth, left = layer / (layers - 1), 1 - layer / layers
        decay = [-5 + 8 * (h / (count - 1)) ** (0.7 + 1.3 * depth) for h in range(count)]
        first = [math.log(0.3) + 0.5 * ((h + 1) % 3 - 1) for h in range(count)]
        assert np.allclose(weights[f"{mix}.time_decay"], decay, atol=1e-5)
        assert np.allclose(weights[f"{mix}.time_first"], first, atol=1e-6)
        key = np.array([(h / count) ** left for h in range(count)])
        assert np.allclose(weights[f"{mix}.time_mix_key"].flatten(), key, atol=1e-6)
        assert np.allclose(weights[f"{mix}.time_mix_value"].flatten(), key + 0.3 * depth, atol=1e-6)
        assert np.allclose(weights[f"{mix}.time_mix_receptance"].flatten(), np.sqrt(key), atol=1e-6)
        assert np.allclose(weights[f"{channels}.time_mix_receptance"].flatten(), key, atol=1e-6)
        for zero in (f"{mix}.key", f"{mix}.receptance", f"{mix}.output", f"{channels}.value", f"{channels}.receptance"):
            assert not weights[f"{zero}.weight"].any()
        value, wide = weights[f"{mix}.value.weight"], weights[f"{channels}.key.weight"]
        assert torch.allclose(value @ value.T, torch.eye(count), atol=1e-4)
        assert torch.allclose(wide.T @ wide, 4 * torch.eye(count), atol=1e-3)  # gain sqrt(4)
    tokens, head = weights["input_adapter.tokens.weight"], weights["output_adapter.weight"]
    assert float(tokens.square().mean().sqrt()) == pytest.approx(1e-4, rel=0.01 if count <= 256 else 1)
    gain = 0.5 * max(1.0, math.sqrt(head.shape[0] / head.shape[1]))
    assert torch.allclose(torch.linalg.svdvals(head), torch.tensor(gain), rtol=1e-3)
    assert torch.allclose(torch.linalg.svdvals(tokens), torch.tensor(1e-4 * math.sqrt(max(tokens.shape))), rtol=1e-3)


def test_the_vision_transformer_starts_glorot_uniform_with_a_head_of_zeros(
    config: dict[str, Any], tasks: dict[str, Any], size: Any
) -> None:
    weights = started("vit", size(config, "vit"), tasks)
    width, hidden = (weights["backbone.layers.0.mlp.fc2.weight"].shape[which] for which in (0, 1))
    uniform(weights["backbone.layers.0.mlp.fc1.weight"], math.sqrt(6 / (width + hidden)))
    uniform(weights["backbone.layers.1.mlp.fc2.weight"], math.sqrt(6 / (width + hidden)))
    uniform(weights["backbone.layers.1.attention.q_proj.weight"], math.sqrt(3 / width))
    normal(weights["backbone.layers.0.mlp.fc1.bias"], 1e-6)
    normal(weights["backbone.embeddings.position_embeddings"], 0.02)
    patches = weights["backbone.embeddings.patch_embeddings.projection.weight"]
    fan_in = patches[0].numel()
    spread = 1 / math.sqrt(fan_in) / 0.87962566103423978
    follows(patches, stats.truncnorm(-2, 2, scale=spread).cdf)
    assert float(patches.std()) == pytest.approx(1 / math.sqrt(fan_in), rel=0.1)
    for zero in ("output_adapter.projection.weight", "output_adapter.projection.bias", "backbone.embeddings.cls_token"):
        assert not weights[zero].any()


def test_swin_draws_its_tables_of_positions_and_leaves_its_patches_to_torch(
    config: dict[str, Any], tasks: dict[str, Any], size: Any
) -> None:
    weights = started("swin", size(config, "swin"), tasks)
    patches = weights["backbone.embeddings.patch_embeddings.projection.weight"]
    uniform(patches, 1 / math.sqrt(patches[0].numel()))
    block = "backbone.encoder.layers.0.blocks.0"
    normal(weights[f"{block}.attention.relative_position_bias.relative_position_bias_table"], 0.02)
    normal(weights[f"{block}.attention.q_proj.weight"], 0.02)
    normal(weights["backbone.encoder.layers.0.downsample.reduction.weight"], 0.02)
    normal(weights["output_adapter.projection.weight"], 0.02)
    assert not weights["output_adapter.projection.bias"].any()


def test_convnext_starts_normal_and_each_block_at_a_millionth(config: dict[str, Any], tasks: dict[str, Any]) -> None:
    weights = started("convnext", laptop(config, "convnext"), tasks)
    stages, block = "backbone.encoder.stages", "backbone.encoder.stages.0.layers.1"
    for drawn in (
        *("backbone.embeddings.patch_embeddings", f"{stages}.1.downsampling_layer.1", "output_adapter.projection"),
        *(f"{block}.dwconv", f"{block}.pwconv1", f"{block}.pwconv2"),
    ):
        normal(weights[f"{drawn}.weight"], 0.02)
        assert not weights[f"{drawn}.bias"].any()
    for norm in ("backbone.embeddings.layernorm", f"{block}.layernorm", "backbone.layernorm"):
        assert bool((weights[f"{norm}.weight"] == 1).all()) and not weights[f"{norm}.bias"].any()
    assert bool((weights[f"{block}.layer_scale_parameter"] == 1e-6).all())


@pytest.mark.parametrize("width", [SMALL, PAPER_WIDTH])
@pytest.mark.parametrize("tied", [True, False])
def test_llama_scales_residual_projections_by_depth(tied: bool, width: int, tasks: dict[str, Any]) -> None:
    weights = started("llama", sizes("llama", width), tasks, tied_head=tied)
    head = weights["input_adapter.tokens.weight" if tied else "output_adapter.weight"]
    follows(head, stats.truncnorm(-3, 3, scale=1 / math.sqrt(width)).cdf)
    if not tied:
        normal(weights["input_adapter.tokens.weight"], 1.0)
    for layer in range(2):
        block = f"backbone.layers.{layer}"
        for written in ("self_attn.o_proj", "mlp.down_proj", "mlp.up_proj"):
            normal(weights[f"{block}.{written}.weight"], 0.02 / math.sqrt(2 * (layer + 1)))
        normal(weights[f"{block}.mlp.gate_proj.weight"], 0.02)


@pytest.mark.parametrize("model_type", sorted({*FAMILIES, *SIZED}))
@pytest.mark.parametrize("task", ["language", "images", "series"])
def test_nothing_inside_a_specified_backbone_is_left_to_the_library(
    model_type: str, task: str, config: dict[str, Any], tasks: dict[str, Any]
) -> None:
    pixels = model_type in PIXELS
    if pixels and task != "images":
        return
    settings = sizes(model_type, SMALL) if model_type in SIZED else laptop(config, model_type)
    network = model.build(entry(model_type, settings), tasks[task], seed=0, device="meta")
    specification = registry.load("architectures.starts", model_type)
    left = [name for name, law in _place.laws(network, specification).items() if law is None]
    adapters = {"input_adapter", "output_adapter"}
    assert {name.partition(".")[0] for name in left} == (set() if pixels or task == "language" else adapters)
    assert specification.SOURCE and specification.ADAPTERS


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_start_depends_on_the_seed_alone_and_lies_at_no_distance_from_its_law(
    model_type: str, config: dict[str, Any], tasks: dict[str, Any]
) -> None:
    settings = laptop(config, model_type)
    torch.manual_seed(1)
    first = started(model_type, settings, tasks)
    torch.manual_seed(2)
    again, other = started(model_type, settings, tasks), started(model_type, settings, tasks, seed=1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    network = model.build(entry(model_type, settings), tasks["images" if model_type in PIXELS else "language"], seed=0)
    for name, law in _place.laws(network, registry.load("architectures.starts", model_type)).items():
        if law is not None and name in first:
            values = first[name]
            limit = math.sqrt(-math.log(CHANCE / 2) / (2 * values.numel()))  # of the Kolmogorov-Smirnov distance
            assert law.distance(values) <= (0 if isinstance(law, _laws.Fixed) else limit), name


def test_another_law_is_seen_at_a_distance() -> None:
    draws = _laws.Normal(0.1).draw(torch.Size([64, 64]), torch.Generator().manual_seed(0))
    assert _laws.Uniform(0.125).distance(draws) > 0.1
    assert _laws.zeros().distance(draws) == 1
    assert _laws.zeros().distance(torch.zeros(3, 3)) == 0
    assert _laws.Normal(0.1).distance(torch.full((4,), math.nan)) == 1


def test_the_meta_device_draws_nothing(
    config: dict[str, Any], tasks: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("drawn")

    for law in (_laws.Normal, _laws.Uniform, _laws.StepSize, _laws.Fixed):
        monkeypatch.setattr(law, "draw", refuse)
    network = model.build(entry("mamba", laptop(config, "mamba")), tasks["language"], seed=0, device="meta")
    assert all(parameter.device.type == "meta" for parameter in network.parameters())
    with pytest.raises(AssertionError, match="drawn"):
        model.build(entry("mamba", laptop(config, "mamba")), tasks["language"], seed=0)


def test_the_library_start_is_what_transformers_makes(config: dict[str, Any], tasks: dict[str, Any]) -> None:
    from transformers import AutoModel

    from warmup.random_streams import torch_seed

    settings = laptop(config, "mamba")
    weights = started("mamba", settings, tasks, initialisation="library")
    torch.manual_seed(torch_seed("initial weights", 0))
    plain = AutoModel.from_config(
        model.backbone_configuration(entry("mamba", settings), tasks["language"]), attn_implementation=None
    )
    for name, parameter in plain.named_parameters():
        known = weights.get(f"backbone.{name}", weights["input_adapter.tokens.weight"])
        assert torch.equal(known, parameter), name


def test_the_code_of_a_start_counts_for_its_family_alone(config: dict[str, Any]) -> None:
    settings = configuration.effective(
        configuration.merge(config, {"architectures": {"gpt2": {"initialisation": "library"}}})
    )
    chosen = {run.architecture: grid.run_choices(settings, run)["architectures.starts"] for run in grid.runs(settings)}
    assert chosen == {"gpt2": [], "mamba": ["mamba"], "jamba": ["jamba"], "rwkv": ["rwkv"]}


def test_every_start_belongs_to_a_model_type_of_transformers() -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    known = {name.replace("-", "_") for name in CONFIG_MAPPING_NAMES}
    assert set(registry.names("architectures.starts")) <= known
    assert starts.module_name("bert") is None
    assert starts.chosen({"model_type": "mamba", "initialisation": "library"}) is None


def test_a_setting_that_only_the_library_start_reads_is_refused(config: dict[str, Any]) -> None:
    changed = configuration.merge(config, {"architectures": {"gpt2": {"settings": {"initializer_range": 0.05}}}})
    with pytest.raises(ConfigurationError, match=r"gpt2.settings.initializer_range.*initialisation to library"):
        configuration.effective(changed)
    library = configuration.merge(changed, {"architectures": {"gpt2": {"initialisation": "library"}}})
    assert configuration.effective(library)["architectures"]["gpt2"]["settings"]["initializer_range"] == 0.05


def test_the_initial_scale_multiplies_the_authors_matrices(config: dict[str, Any], tasks: dict[str, Any]) -> None:
    settings = laptop(config, "gpt2")
    plain = started("gpt2", settings, tasks)
    doubled = started("gpt2", settings, tasks, interventions={"initial_scale": 2.0})
    name = "backbone.h.0.mlp.c_fc.weight"
    assert torch.equal(doubled[name], 2 * plain[name])
