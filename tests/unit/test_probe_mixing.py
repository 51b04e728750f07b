"""The mixing matrices are the layers' own: times the inputs they reproduce what the layers compute."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from probing import SIZES, Wrapped, backbone, look_at, probe_settings, values
from torch.nn import functional

from warmup import kernels
from warmup.architectures import projections
from warmup.probes import mixing

SETTINGS = probe_settings()["mixing"]
DRAW = torch.Generator().manual_seed(3)
TOKENS = torch.randint(0, 256, (2, 20), generator=DRAW)


def look(name: str, step: int = 0, **changes: Any) -> Any:
    wrapped = Wrapped(backbone(name, "eager"))
    return look_at(wrapped, TOKENS, SETTINGS | changes, step=step, watched=mixing.watched(wrapped))


def mixer_of(name: str) -> tuple[Any, torch.Tensor]:
    """The first mixer of a backbone, and inputs [2, 20, width] for it."""
    inner = backbone(name, "eager").eval()
    module = next(part for part in inner.modules() if mixing.is_mamba(part) or mixing.is_rwkv(part))
    return module, torch.randn(2, 20, 32, generator=DRAW)


@pytest.mark.parametrize("name", ["mamba", "jamba"])
@torch.no_grad()
def test_hidden_attention_times_input_reproduces_the_layers_output(name: str) -> None:
    mixer, states = mixer_of(name)
    x, _, _, _ = mixing.mamba_scan_inputs(mixer, states)
    channels = torch.arange(x.shape[-1])
    matrix = mixing.mamba_matrices(mixer, states, channels)
    mixed = torch.einsum("bcij,bjc->bic", matrix, x) + mixer.D * x
    gate = mixer.in_proj(states).chunk(2, dim=-1)[1]
    torch.testing.assert_close(mixer.out_proj(mixed * functional.silu(gate)), mixer(states), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_rwkv_weights_times_values_reproduce_the_layers_output() -> None:
    mixer, states = mixer_of("rwkv")
    receptance, _, value, _ = mixer.extract_key_value(states)
    matrix = mixing.rwkv_matrices(mixer, states, torch.arange(value.shape[-1]))
    mixed = torch.einsum("bcij,bjc->bic", matrix, value)
    torch.testing.assert_close(mixer.output(receptance * mixed), mixer(states)[0], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_rg_lru_matrix_times_input_reproduces_the_units_output() -> None:
    inner = backbone("recurrent_gemma", "eager").eval()
    unit: Any = next(part for part in inner.modules() if mixing.is_rg_lru(part))
    x = torch.randn(2, 20, 32, generator=DRAW)
    matrix = mixing.rg_lru_matrices(unit, x, torch.arange(32))
    mixed = torch.einsum("bcij,bjc->bic", matrix, x)
    torch.testing.assert_close(mixed, unit(x, torch.arange(20)[None].expand(2, -1)), rtol=1e-4, atol=1e-5)


@pytest.fixture
def in_torch() -> Iterator[None]:
    """Operators in PyTorch, as every training on a CPU has them, whatever packages for GPUs are installed."""
    for name in OPERATORS:
        kernels.install("cpu", 1, name)
    yield
    kernels.uninstall()


OPERATORS = {"mamba2": 2, "falcon_h1": 2, "qwen3_next": 1, "kimi_linear": 1}
"""Backbones whose mixers call an operator, and how many of their two layers do."""


@pytest.mark.usefixtures("in_torch")
@pytest.mark.parametrize("name", OPERATORS)
@torch.no_grad()
def test_an_operators_matrix_times_its_values_reproduces_its_output(name: str) -> None:
    calls = look(name).captured.operators
    assert len(calls) >= OPERATORS[name]
    for call in calls.values():
        values = call.arguments[call.values].float()
        mixed = torch.einsum("bhij,bjhd->bihd", call.matrices(values.shape[1]), values)
        skip = call.arguments.get("D")
        if skip is not None:
            mixed = mixed + skip[:, None] * values
        torch.testing.assert_close(mixed, call.output(), rtol=1e-3, atol=1e-4)
        assert float(call.matrices(values.shape[1]).triu(1).abs().max()) == 0  # nothing of later positions


def test_recording_operators_leaves_the_modelling_module_and_the_states_as_they_were() -> None:
    from transformers.models.mamba2 import modeling_mamba2

    before = modeling_mamba2.mamba2_chunk_scan
    given = look("mamba2")
    with torch.no_grad():
        expected = given.model.eval()(TOKENS)
        seen = given.captured
        assert len(seen.operators) == 2
        assert torch.equal(given.model(TOKENS), expected)
    assert modeling_mamba2.mamba2_chunk_scan is before


@pytest.mark.parametrize("name", ["mamba", "rwkv"])
@torch.no_grad()
def test_chosen_channels_are_those_of_the_whole(name: str) -> None:
    mixer, states = mixer_of(name)
    matrix_of = mixing.mamba_matrices if name == "mamba" else mixing.rwkv_matrices
    count = mixing.channel_count(mixer)
    chosen = mixing.spread(count, 4)
    assert chosen.tolist()[0] == 0 and chosen.tolist()[-1] == count - 1
    whole = matrix_of(mixer, states, torch.arange(count))
    torch.testing.assert_close(matrix_of(mixer, states, chosen), whole[:, chosen])


@pytest.mark.usefixtures("in_torch")
@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("mamba", {0, 1}),
        ("rwkv", {0, 1}),
        ("jamba", {0, 1, 3}),
        ("mamba2", {0, 1}),
        ("qwen3_next", {0}),
        ("falcon_h1", {0, 1}),
    ],
)
def test_every_mixer_gets_rows_per_channel(name: str, layers: set[int]) -> None:
    rows = mixing.before_update(look(name))
    entropies = [row for row in rows if row["quantity"] == "mixing_relative_entropy"]
    assert {row["layer"] for row in entropies} == layers
    assert len(entropies) == 4 * len(layers)
    assert all(0 < row["value"] < 1 for row in entropies)
    assert all(1 <= value <= 20 for value in values(rows, "mixing_effective_rank").values())


def test_a_rwkv_that_never_forgets_mixes_uniformly() -> None:
    given = look("rwkv")
    with torch.no_grad():
        for name, parameter in given.model.named_parameters():
            if "time_decay" in name:
                parameter.fill_(-40.0)
            elif "time_first" in name or "attention.key" in name:
                parameter.zero_()
    found = values(mixing.before_update(given), "mixing_relative_entropy")
    torch.testing.assert_close(torch.tensor(list(found.values())), torch.ones(len(found)), rtol=1e-5, atol=1e-5)


def test_only_the_first_positions_are_looked_at_when_asked() -> None:
    rows = mixing.before_update(look("mamba", largest_matrix=8))
    stored = next(row["values"] for row in rows if row["quantity"] == "mixing_map")
    assert len(stored) == 64


def test_attention_models_have_no_rows_and_need_no_forward_pass() -> None:
    given = look("gpt2")
    assert mixing.before_update(given) == []
    assert "captured" not in vars(given)


def test_an_unknown_mixer_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    from transformers import FNetConfig, FNetModel

    inner = FNetModel(FNetConfig(hidden_size=16, num_hidden_layers=1, intermediate_size=32, vocab_size=256))
    wrapped = Wrapped(inner)
    rows = mixing.before_update(look_at(wrapped, TOKENS, SETTINGS))
    assert [(row["module"], row["quantity"]) for row in rows] == [("backbone.encoder.layer.0", "not_probed")]
    assert "not known here" in caplog.text
    assert mixing.before_update(look_at(wrapped, TOKENS, SETTINGS, step=2)) == []


def test_the_layouts_of_attention_and_mixing_do_not_overlap() -> None:
    for name in SIZES:
        for module in backbone(name, "eager").modules():
            known = mixing.has_channels(module)
            assert not (known and projections.find(module) is not None)
