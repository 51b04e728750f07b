"""Any backbone from its entry: counts, layer groups, roles, causality, initial weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig
from transformers.activations import ACT2FN

from warmup import registry
from warmup.architectures import families, layers, model, roles
from warmup.config import configuration
from warmup.errors import ConfigurationError
from warmup.tasks import classification, forecasting, language
from warmup.training import model_checks

PAPER_COUNTS = {  # trained parameters on OpenWebText with the GPT-2 vocabulary ([S0])
    "gpt2": 124_439_808,
    "mamba": 371_516_416,
    "jamba": 393_455_200,
    "rwkv": 430_397_440,
}
PUBLISHED_MILLIONS = {"gpt2": 124.4, "mamba": 371.5, "jamba": 400, "rwkv": 430.4}

ATTENTION = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 32}
ENTRIES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 16, "n_head": 2, "n_layer": 2, "n_positions": 32},
    "mamba": {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4},
    "falcon_mamba": {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4},
    "mamba2": {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_heads": 4,
        "head_dim": 8,
        "state_size": 4,
        "n_groups": 1,
    },
    "rwkv": {"hidden_size": 16, "attention_hidden_size": 16, "num_hidden_layers": 2, "context_length": 32},
    "jamba": {
        **ATTENTION,
        "num_key_value_heads": 1,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "num_experts": 2,
        "num_experts_per_tok": 1,
        "mamba_d_state": 4,
    },
    "llama": {**ATTENTION, "num_key_value_heads": 1, "max_position_embeddings": 64},
    "gpt_neox": {**ATTENTION, "max_position_embeddings": 64},
    "opt": {
        "hidden_size": 16,
        "word_embed_proj_dim": 16,
        "ffn_dim": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    },
    "bert": ATTENTION,
}
CAUSAL = [name for name in ENTRIES if name != "bert"]
ATTENTION_FREE = ["mamba", "falcon_mamba", "mamba2", "rwkv"]


def entry(model_type: str, **changes: Any) -> dict[str, Any]:
    settings = ENTRIES.get(model_type, {})
    base = {
        "model_type": model_type,
        "input": "embeddings",
        "tied_head": True,
        "settings": settings,
        "interventions": {},
    }
    return {**base, **changes}


@pytest.fixture
def tasks(prepared: Path) -> dict[str, Any]:
    sizes = {"batch_size": 3, "validation_examples": 6}
    return {
        "language": language.Task({"kind": "language", "sequence_length": 12, **sizes}, prepared / "language"),
        "images": classification.Task({"kind": "classification", "patch_size": 4, **sizes}, prepared / "images"),
        "series": forecasting.Task(
            {"kind": "forecasting", "context": 12, "horizon": 3, "patch_length": 3, **sizes}, prepared / "series"
        ),
    }


@pytest.fixture(scope="module")
def openwebtext(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], language.Task]:
    """The language task with the size of the GPT-2 vocabulary, without its data."""
    folder = tmp_path_factory.mktemp("openwebtext")
    (folder / "data.json").write_text(json.dumps({"vocabulary": {"size": 50257}}))
    for part in ("train", "validation"):
        np.save(folder / f"{part}.npy", np.zeros(2000, np.uint16))
    return lambda settings: language.Task(settings, folder)


@pytest.mark.parametrize("name", PAPER_COUNTS)
def test_parameter_counts_of_the_paper_scale(
    name: str, config: dict[str, Any], openwebtext: Callable[[dict[str, Any]], language.Task]
) -> None:
    settings = configuration.effective({**config, "scale": "paper"})
    task = openwebtext(settings["tasks"]["language"])
    described = model_checks.describe_on_meta(settings["architectures"][name], task)
    assert described["parameters"] == PAPER_COUNTS[name]
    assert abs(described["parameters"] / 1e6 / PUBLISHED_MILLIONS[name] - 1) < 0.03
    assert sum(described["layer_groups"].values()) == sum(described["roles"].values()) == described["parameters"]


@pytest.mark.parametrize("task", ["language", "images", "series"])
@pytest.mark.parametrize("model_type", ENTRIES)
def test_any_backbone_trains_on_every_task_and_every_parameter_has_a_group(
    model_type: str, task: str, tasks: dict[str, Any]
) -> None:
    network = model.build(entry(model_type), tasks[task], seed=0)
    inputs, targets = tasks[task].batch(seed=0, step=0)
    tasks[task].loss(network(inputs), targets).backward()
    trained = dict(roles.trained(network))
    assert all(parameter.grad is not None for parameter in trained.values())
    groups = layers.layer_groups(network)
    named = [name for names in groups.values() for name in names]
    assert sorted(named) == sorted(trained)
    assert not [group for group in groups if group.endswith(".other")]
    assert {"embedding", "block00.mixer", "block01.mixer"} <= set(groups)
    assert ("head" in groups) == (task != "language")


@pytest.mark.parametrize("model_type", ["vit", "swin"])
def test_backbones_that_take_pixels_train_on_images(model_type: str, tasks: dict[str, Any]) -> None:
    settings: dict[str, dict[str, Any]] = {
        "vit": {**ATTENTION, "patch_size": 4},
        "swin": {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 2, "patch_size": 2},
    }
    network = model.build(entry(model_type, input="pixels", settings=settings[model_type]), tasks["images"], seed=0)
    inputs, targets = tasks["images"].batch(seed=0, step=0)
    tasks["images"].loss(network(inputs), targets).backward()
    assert all(parameter.grad is not None for _, parameter in roles.trained(network))
    groups = layers.layer_groups(network)
    assert {"embedding", "block00.mixer", "block00.feed_forward", "block01.norm", "head"} <= set(groups)


def test_pixels_are_refused_for_tasks_that_are_no_images(tasks: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="input: pixels"):
        model.build(entry("vit", input="pixels", settings=ATTENTION), tasks["series"], seed=0)


@pytest.mark.parametrize("model_type", ["cwm", "modernbert-decoder", "gpt2"])
def test_no_token_is_special_whatever_the_type_insists_on(model_type: str, tasks: dict[str, Any]) -> None:
    sizes = {**ATTENTION, "num_key_value_heads": 1, "head_dim": 8, "layer_types": ["full_attention"] * 2}
    settings = ENTRIES.get(model_type, sizes if model_type == "cwm" else ATTENTION)
    network = model.build(entry(model_type, settings=settings), tasks["language"], seed=0)
    assert network.backbone.get_input_embeddings().padding_idx is None
    assert [getattr(network.backbone.config, key) for key in model.SPECIAL_TOKENS] == [None] * 3
    model_checks.refuse_looking_ahead(network, entry(model_type), tasks["language"])


def test_roberta_counts_its_positions_from_zero(tasks: dict[str, Any]) -> None:
    network = model.build(entry("roberta", settings=ATTENTION), tasks["series"], seed=0)
    seen: list[torch.Tensor] = []
    table = network.backbone.embeddings.position_embeddings
    table.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(tasks["series"].batch(seed=0, step=0)[0])
    assert seen[0][0].tolist() == list(range(tasks["series"].positions))


@pytest.mark.parametrize("model_type", CAUSAL)
def test_causal_backbones_may_model_language(model_type: str, tasks: dict[str, Any]) -> None:
    model_checks.describe(entry(model_type), tasks["language"])


def test_a_backbone_that_looks_ahead_is_refused_for_language_only(tasks: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="bert lets a position see later ones"):
        model_checks.describe(entry("bert"), tasks["language"])
    assert model_checks.describe(entry("bert"), tasks["images"])["parameters"] > 0


@pytest.mark.parametrize("model_type", ["gpt2", "mamba", "rwkv", "jamba"])
def test_equal_seeds_give_equal_weights_and_others_do_not(model_type: str, tasks: dict[str, Any]) -> None:
    first, again, other = (model.build(entry(model_type), tasks["language"], seed) for seed in (0, 0, 1))
    pairs = zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
    embeddings = [network.get_input_embeddings().weight for network in (first.backbone, other.backbone)]
    assert not torch.equal(*embeddings)


def test_building_leaves_the_global_random_numbers_alone(tasks: dict[str, Any]) -> None:
    before = torch.get_rng_state()
    model.build(entry("gpt2"), tasks["language"], seed=0)
    assert torch.equal(before, torch.get_rng_state())


def test_dropout_is_off_unless_the_entry_asks_for_it(tasks: dict[str, Any]) -> None:
    plain = model.build(entry("gpt2"), tasks["language"], seed=0).backbone.config
    asked = model.build(entry("gpt2", settings={**ENTRIES["gpt2"], "resid_pdrop": 0.1}), tasks["language"], seed=0)
    assert (plain.resid_pdrop, plain.embd_pdrop, plain.attn_pdrop) == (0.0, 0.0, 0.0)
    assert asked.backbone.config.resid_pdrop == 0.1


def test_an_activation_of_eight_operations_becomes_the_same_function_in_one(tasks: dict[str, Any]) -> None:
    built = model.build(entry("gpt2"), tasks["language"], seed=0)
    assert AutoConfig.for_model("gpt2").activation_function == "gelu_new"
    activations = [part for part in built.backbone.modules() if type(part).__module__ == "transformers.activations"]
    assert len(activations) == built.backbone.config.n_layer
    x = torch.linspace(-6, 6, 10_001, dtype=torch.float64)
    assert torch.allclose(activations[0](x), ACT2FN["gelu_new"](x), rtol=1e-12, atol=1e-15)
    assert type(activations[0]) is not type(ACT2FN["gelu_new"])


def test_an_unknown_setting_is_refused_with_the_nearest_known(tasks: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"settings.n_layers: .*did you mean n_layer\?"):
        model.build(entry("gpt2", settings={"n_layers": 2}), tasks["language"], seed=0)


def test_an_unknown_model_type_is_refused(tasks: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="model_type: transformers knows no 'gtp2'"):
        model.build(entry("gtp2"), tasks["language"], seed=0)


def test_a_vocabulary_smaller_than_the_data_is_refused(tasks: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="vocab_size: 100 is smaller"):
        model.build(entry("gpt2", settings={**ENTRIES["gpt2"], "vocab_size": 100}), tasks["language"], seed=0)


def test_a_sequence_longer_than_the_table_of_positions_is_refused(tasks: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="n_positions: 8 positions are fewer than the task's 12"):
        model_checks.describe(entry("gpt2", settings={**ENTRIES["gpt2"], "n_positions": 8}), tasks["language"])


def test_matrices_alone_are_decayed(tasks: dict[str, Any]) -> None:
    network = model.build(entry("jamba"), tasks["language"], seed=0)
    decayed = {
        name: group["role"]
        for group in roles.parameter_groups(network, weight_decay=0.1)
        for name in group["names"]
        if group["weight_decay"]
    }
    assert {roles.MATRIX, roles.STACK} == set(decayed.values())
    for name, parameter in roles.trained(network):
        never = (
            "norm" in name,
            "bias" in name,
            "A_log" in name,
            name.endswith(".D"),
            "conv1d" in name,
            "tokens" in name,
        )
        assert not (any(never) and name in decayed)
        if "proj.weight" in name:
            assert name in decayed and parameter.ndim == 2


@pytest.mark.parametrize("model_type", ["gpt2", "rwkv", "mamba"])
def test_tables_mixes_and_states_are_no_matrices(model_type: str, tasks: dict[str, Any]) -> None:
    network = model.build(entry(model_type), tasks["language"], seed=0)
    others = {name for name, _ in roles.trained(network) if roles.role(network, name) == roles.OTHER}
    for name, _ in roles.trained(network):
        if any(part in name for part in ("wpe", "time_mix", "time_decay", "time_first", "A_log", "conv1d", "ln")):
            assert name in others


def test_queries_and_keys_are_known_by_their_projections(tasks: dict[str, Any]) -> None:
    network = model.build(entry("llama"), tasks["language"], seed=0)
    names = [name for group in roles.parameter_groups(network, 0.1) if group["attention_qk"] for name in group["names"]]
    assert len(names) == 4
    assert all("q_proj" in name or "k_proj" in name for name in names)


def test_keys_of_other_layers_than_attention_make_no_scores(tasks: dict[str, Any]) -> None:
    network = model.build(entry("rwkv"), tasks["language"], seed=0)
    assert roles.queries_and_keys(network) == frozenset()


@pytest.mark.parametrize(
    ("leaf", "shape", "expected"),
    [
        ("D", (2, 8), roles.OTHER),  # Zamba: the skip of each head
        ("x_proj_weight", (2, 8, 8), roles.STACK),  # Zamba: a projection per head
        ("weight", (4, 8, 8), roles.STACK),  # JetMoE's experts
        ("time_mix_key", (1, 1, 8), roles.OTHER),
        ("scale", (1, 1, 8), roles.OTHER),
        ("weight", (8, 8), roles.MATRIX),
    ],
)
def test_bare_parameters_are_known_by_name_and_shape(leaf: str, shape: tuple[int, ...], expected: str) -> None:
    class Owner(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_parameter(leaf, torch.nn.Parameter(torch.zeros(shape)))

    assert roles.role(torch.nn.ModuleDict({"layer": Owner()}), f"layer.{leaf}") == expected


def test_maps_of_an_attention_in_three_dimensions_are_no_stack_of_matrices() -> None:
    """XLNet's q [width, heads, size]: its first axis counts inputs, not matrices."""

    class RelativeAttention(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q = torch.nn.Parameter(torch.zeros(8, 2, 4))

    assert roles.role(torch.nn.ModuleDict({"layer": RelativeAttention()}), "layer.q") == roles.OTHER


@pytest.mark.parametrize("model_type", CAUSAL)
def test_nothing_is_kept_for_later_calls(model_type: str, tasks: dict[str, Any]) -> None:
    network = model.build(entry(model_type), tasks["language"], seed=0)
    assert not getattr(network.backbone.config, "use_cache", False)


def test_a_tied_head_is_the_embedding_and_an_untied_one_is_not(tasks: dict[str, Any]) -> None:
    tied = model.build(entry("rwkv"), tasks["language"], seed=0)
    untied = model.build(entry("rwkv", tied_head=False), tasks["language"], seed=0)
    extra = sum(p.numel() for p in untied.parameters()) - sum(p.numel() for p in tied.parameters())
    assert extra == 256 * 16
    assert "head" in layers.layer_groups(untied)
    assert "head" not in layers.layer_groups(tied)


def test_initial_scale_multiplies_matrices_only(tasks: dict[str, Any]) -> None:
    plain = model.build(entry("gpt2"), tasks["language"], seed=0)
    scaled = model.build(entry("gpt2", interventions={"initial_scale": 2.0}), tasks["language"], seed=0)
    for (name, before), (_, after) in zip(plain.named_parameters(), scaled.named_parameters(), strict=True):
        matrix = name.startswith("backbone.") and roles.role(plain, name) == roles.MATRIX
        assert torch.equal(after, before * 2 if matrix else before), name


def test_every_family_module_offers_what_generic_does() -> None:
    for name in registry.names("architectures.families"):
        family = families.family(name)
        assert list(family.problems({})) == []
        assert isinstance(family.KERNELS, tuple)
        assert isinstance(family.overrides({}), dict)
        family.longest_sequence({})
