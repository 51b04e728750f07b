"""A class in the user's own file as an architecture; RWKV-7 and Gated DeltaNet are the examples of one."""

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars
import pytest
import torch
from torch import Tensor

from warmup import registry, shipped
from warmup.architectures import model
from warmup.config import configuration, grid
from warmup.errors import ConfigurationError
from warmup.probes import _operators
from warmup.probes._capture import Watcher
from warmup.provenance import closure, code_state
from warmup.training import loop, model_checks

RWKV7 = registry.own_class("examples/rwkv7.py", "RWKV7")
wkv7 = vars(sys.modules[RWKV7.__module__])["wkv7"]

GatedDeltaNet = registry.own_class("examples/gated_deltanet.py", "GatedDeltaNet")
gated_delta_rule = vars(sys.modules[GatedDeltaNet.__module__])["gated_delta_rule"]

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_heads": 2}
RWKV7_ENTRY = {
    "source": {"module": "examples/rwkv7.py", "class": "RWKV7"},
    "settings": {**SIZES, "rank": 4},
    "role": "variant",
    "tied_head": False,
}
EXAMPLES: dict[str, tuple[dict[str, Any], str, set[str]]] = {
    "rwkv7": (RWKV7_ENTRY, "time_mixing", {"matrix", "other"}),
    "gated_deltanet": (
        {
            "source": {"module": "examples/gated_deltanet.py", "class": "GatedDeltaNet"},
            "settings": {**SIZES, "key_size": 6, "value_size": 12},
            "role": "variant",
        },
        "mixer",
        {"matrix", "other"},
    ),
}
"""Of each example its entry, the name of the mixer in a block, and the roles of its parameters."""

NET = """
import torch
from torch import nn

class Block(nn.Module):
    LAYER_GROUPS = {"linear": "feed_forward"}

    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, states):
        return self.linear(states)

class Net(nn.Module):
    def __init__(self, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.layers = nn.ModuleList([Block(hidden_size)])

    def forward(self, inputs_embeds):
        return self.layers[0](inputs_embeds)
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """Function that writes a file net.py into the folder one works in; an architecture entry of its class Net."""
    monkeypatch.chdir(tmp_path)

    def entry(text: str, **changes: Any) -> dict[str, Any]:
        Path("net.py").write_text(text)
        return {"source": {"module": "net.py", "class": "Net"}, "settings": {"hidden_size": 8}, **changes}

    return entry


def effective(tiny_config: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """Settings of a study of the architecture `entry` alone."""
    study = {"net": {"selections": [{"architectures": ["net"], "recipes": ["adamw"]}]}}
    changes = {"study": "net", "studies": study, "architectures": {"net": {"role": "variant", **entry}}}
    return configuration.effective(configuration.merge(tiny_config, changes))


def check(tiny_config: dict[str, Any], entry: dict[str, Any], prepared: Path) -> dict[str, Any]:
    settings = effective(tiny_config, entry)
    parts = grid.models_settings(settings, grid.runs(settings))
    return model_checks.check(parts, {task: str(prepared / task) for task in settings["tasks"]})["net"]


def given(length: int, size: int = 4) -> list[Tensor]:
    """Receptance, decay, key, value, removal and replacement of 2 examples and 3 heads, as the paper bounds them."""
    draws = torch.Generator().manual_seed(length)
    receptance, key, value, removal = (torch.randn(2, length, 3, size, generator=draws) for _ in range(4))
    decay = -(torch.rand(2, length, 3, size, generator=draws) * 0.6065)
    removal = torch.nn.functional.normalize(removal, dim=-1)
    rate = torch.rand(2, length, 3, size, generator=draws)
    return [part.requires_grad_() for part in (receptance, decay, key, value, -removal, removal * rate)]


def recurrence(*parts: Tensor) -> Tensor:
    """The state of RWKV-7 carried from position to position, in float64 (Peng 2503.14456, section 4)."""
    receptance, decay, key, value, removal, replacement = (part.double() for part in parts)
    state = torch.zeros(*value[:, 0].shape, value.shape[-1], dtype=torch.float64)
    outputs = []
    for position in range(value.shape[1]):
        now = [part[:, position] for part in (receptance, decay, key, value, removal, replacement)]
        asked, kept, written, content, removed, replaced = now
        change = torch.diag_embed(kept.exp()) + removed[..., :, None] * replaced[..., None, :]
        state = state @ change + content[..., :, None] * written[..., None, :]
        outputs.append((state @ asked[..., None])[..., 0])
    return torch.stack(outputs, dim=1)


def assert_same(
    chunked: Callable[..., Tensor],
    recurrence: Callable[..., Tensor],
    parts: Sequence[Tensor],
    values: float,
    gradients: float,
) -> None:
    """Both give the same values and the same gradients of all `parts`, within these tolerances."""
    expected, found = recurrence(*parts), chunked(*parts)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(found.double(), expected, rtol=values, atol=values)
    of_both = [torch.autograd.grad((outputs * weights).sum(), parts) for outputs in (found, expected)]
    for one, other in zip(*of_both, strict=True):
        torch.testing.assert_close(one, other.float(), rtol=gradients, atol=gradients)


@pytest.mark.parametrize("length", [1, 5, 32, 33, 70])
def test_rwkv7_in_chunks_is_the_recurrence_of_its_paper_and_so_are_its_gradients(length: int) -> None:
    assert_same(wkv7, recurrence, given(length), values=1e-4, gradients=1e-3)


def gated_inputs(length: int, size: int = 4) -> list[Tensor]:
    """Query, key (of norm one), value, log alpha (from hardly any to -8) and beta of 2 examples and 3 heads."""
    draws = torch.Generator().manual_seed(length)
    query, key, value = (torch.randn(2, length, 3, channels, generator=draws) for channels in (size, size, 2 * size))
    log_alpha = -torch.nn.functional.softplus(3 * torch.randn(2, length, 3, generator=draws))
    beta = torch.rand(2, length, 3, generator=draws)
    parts = [query, torch.nn.functional.normalize(key, dim=-1), value, log_alpha, beta]
    return [part.requires_grad_() for part in parts]


def gated_recurrence(*parts: Tensor) -> Tensor:
    """Gated DeltaNet's state carried from position to position, in float64 (Yang 2412.06464, equation 10)."""
    query, key, value, log_alpha, beta = (part.double() for part in parts)
    state = torch.zeros(*value[:, 0].shape, key.shape[-1], dtype=torch.float64)
    outputs = []
    for position in range(value.shape[1]):
        asked, written, content = (part[:, position] for part in (query, key, value))
        alpha, share = log_alpha[:, position, :, None, None].exp(), beta[:, position, :, None, None]
        kept = torch.eye(key.shape[-1]) - share * written[..., :, None] * written[..., None, :]
        state = alpha * state @ kept + share * content[..., :, None] * written[..., None, :]
        outputs.append((state @ asked[..., None])[..., 0] / math.sqrt(key.shape[-1]))
    return torch.stack(outputs, dim=1)


@pytest.mark.parametrize("length", [1, 5, 32, 33, 70])
def test_gated_deltanet_in_chunks_is_the_recurrence_of_its_paper_and_so_are_its_gradients(length: int) -> None:
    assert_same(gated_delta_rule, gated_recurrence, gated_inputs(length), values=1e-5, gradients=1e-4)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_can_be_trained_on_every_task(name: str, tiny_config: dict[str, Any], prepared: Path) -> None:
    entry, _, roles = EXAMPLES[name]
    described = check(tiny_config, entry, prepared)
    assert set(described) == {"language", "images", "series"}
    groups = {f"block0{block}.{part}" for block in (0, 1) for part in ("mixer", "feed_forward", "norm")}
    for task, found in described.items():
        own_head = {"head"} if task != "language" or not entry.get("tied_head", True) else set()
        assert set(found["layer_groups"]) == groups | {"embedding", "final_norm"} | own_head
        assert (found["width"], found["layers"]) == (16, 2)
        assert set(found["roles"]) == roles


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_run_of_an_example_learns_and_its_mixing_is_recorded(
    name: str, run_settings: Callable[..., dict[str, Any]], prepared: Path, tmp_path: Path
) -> None:
    entry, mixer, _ = EXAMPLES[name]
    settings = run_settings("net", architectures={"net": entry})
    loop.run(settings, prepared / "language", tmp_path / "run", loop.Operation(tmp_path / "checkpoints", 10, None, 60))
    losses = polars.read_parquet(tmp_path / "run" / "log.parquet")["loss"]
    assert losses[0] == pytest.approx(math.log(256), rel=0.1)
    assert losses[-4:].mean() < losses[0] - 0.2
    probed = polars.read_parquet(tmp_path / "run" / "attention.parquet")
    entropies = probed.filter(polars.col("quantity") == "mixing_relative_entropy")
    assert set(entropies["module"]) == {f"backbone.layers.{layer}.{mixer}" for layer in (0, 1)}
    assert "not_probed" not in probed["quantity"].to_list()


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_matrix_of_an_examples_mixing_times_its_values_is_its_output(name: str) -> None:
    torch.manual_seed(0)
    entry, mixer, _ = EXAMPLES[name]
    network = registry.own_class(*entry["source"].values())(**entry["settings"])
    mixers = _operators.found(network)
    assert set(mixers) == {f"layers.{layer}.{mixer}" for layer in (0, 1)}
    calls: dict[str, _operators.Call] = {}
    with torch.no_grad(), _operators.recorded(mixers, calls):
        network(torch.randn(2, 40, 16))
    for call in calls.values():
        matrices = call.matrices(40)
        values = call.arguments["value"].transpose(1, 2)
        assert torch.equal(matrices, matrices.tril())
        torch.testing.assert_close((matrices @ values).transpose(1, 2), call.output(), rtol=1e-3, atol=1e-4)


def test_what_an_own_mixer_declares_is_probed_and_what_it_does_not_is_not() -> None:
    network = RWKV7(**RWKV7_ENTRY["settings"])
    assert len(Watcher(network, []).operators) == 2
    assert not Watcher(torch.nn.Sequential(torch.nn.Linear(2, 2)), []).operators


def build(entry: dict[str, Any], tiny_config: dict[str, Any], prepared: Path, seed: int) -> dict[str, Tensor]:
    settings = effective(tiny_config, entry)
    task = registry.load("tasks", "language").Task(settings["tasks"]["language"], prepared / "language")
    return dict(model.build(settings["architectures"]["net"], task, seed).state_dict())


def test_an_own_class_starts_itself_from_the_seed_of_the_run(tiny_config: dict[str, Any], prepared: Path) -> None:
    one, same, other = (build(RWKV7_ENTRY, tiny_config, prepared, seed) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    drawn = "backbone.layers.0.time_mixing.key.weight"
    assert not torch.equal(one[drawn], other[drawn])
    assert one["input_adapter.tokens.weight"].abs().max() <= 1e-4  # as `start_tokens` says
    assert torch.count_nonzero(one["backbone.layers.1.time_mixing.output.weight"]) == 0


def test_planning_does_not_import_the_file(tiny_config: dict[str, Any], write: Callable[..., dict[str, Any]]) -> None:
    settings = effective(tiny_config, write("raise SystemExit('imported')\nclass Net: pass\n"))
    assert settings["architectures"]["net"]["model_type"] == "own"
    assert closure.own_code("net.py")


WRONG_IN_PLANNING = {
    "no such file": ({"source": {"module": "away.py", "class": "Net"}}, "source.module: 'away.py' does not exist"),
    "no such class": ({"source": {"module": "net.py", "class": "Nett"}}, "source.class: 'Nett' is not known (did you"),
    "a model type as well": ({"model_type": "gpt2"}, "source: this entry has a model_type too"),
    "pixels": ({"input": "pixels"}, "input: a class of your own takes embeddings"),
    "the library's start": ({"initialisation": "library"}, "initialisation: a class of your own starts as it does"),
}


@pytest.mark.parametrize("name", WRONG_IN_PLANNING)
def test_mistakes_that_a_file_tells_without_import_are_told_when_planning(
    name: str, tiny_config: dict[str, Any], write: Callable[..., dict[str, Any]]
) -> None:
    changes, expected = WRONG_IN_PLANNING[name]
    with pytest.raises(ConfigurationError) as refused:
        effective(tiny_config, write(NET) | changes)
    assert f"architectures.net.{expected}" in str(refused.value)


def test_a_file_that_is_no_python_is_told_when_planning(
    tiny_config: dict[str, Any], write: Callable[..., dict[str, Any]]
) -> None:
    with pytest.raises(ConfigurationError, match=r"architectures\.net\.source\.module: net\.py, line 1: not valid"):
        effective(tiny_config, write("class Net(:"))


WRONG_WHEN_CHECKED = {
    "import fails": (
        "import torch\n", "import no_such_package\n",
        "source.module: net.py cannot be imported: ModuleNotFoundError",
    ),
    "no module": ("class Net(nn.Module)", "class Net", "source.class: Net (net.py) is no torch.nn.Module"),
    "other settings": (
        "def __init__(self, hidden_size)", "def __init__(self, width)",
        "settings: Net (net.py) cannot be built from them: TypeError",
    ),
    "no width": ("self.hidden_size = hidden_size", "", "source.class: Net (net.py) has no attribute `hidden_size`"),
    "other states": (
        "(inputs_embeds)\n", "(inputs_embeds)[:, :1]\n",
        "source.class: Net (net.py) returns [2, 1, 8] for inputs_embeds [2, 5, 8]",
    ),
    "another argument": ("inputs_embeds", "x", "source.class: Net (net.py) fails for inputs_embeds"),
    "not causal": (
        "(inputs_embeds)\n", "(inputs_embeds + inputs_embeds.mean(1, True))\n",
        "source: Net (net.py) lets a position see later ones",
    ),
    "statistics of batches": (
        "nn.Linear(width, width)", "nn.BatchNorm1d(12)",
        "source: Net (net.py) normalises by statistics of its batches (BatchNorm1d)",
    ),
    "unknown part": (
        '"feed_forward"', '"mixing"',
        "source.class: LAYER_GROUPS of Block calls linear 'mixing'; right is one of mixer",
    ),
}  # fmt: skip
"""What is replaced in the file, by what, and what is said."""


@pytest.mark.parametrize("name", WRONG_WHEN_CHECKED)
def test_what_is_not_the_interface_is_refused_before_anything_is_trained(
    name: str, tiny_config: dict[str, Any], prepared: Path, write: Callable[..., dict[str, Any]]
) -> None:
    old, new, expected = WRONG_WHEN_CHECKED[name]
    assert old in NET
    with pytest.raises(ConfigurationError) as refused:
        check(tiny_config, write(NET.replace(old, new)), prepared)
    assert f"architectures.net.{expected}" in str(refused.value)


def test_the_smallest_own_class_can_be_trained(
    tiny_config: dict[str, Any], prepared: Path, write: Callable[..., dict[str, Any]]
) -> None:
    described = check(tiny_config, write(NET), prepared)
    assert described["language"]["layer_groups"] == {"embedding": 8 * 256, "block00.feed_forward": 8 * 8 + 8}


def test_the_code_of_a_run_holds_what_the_file_means_and_the_files_beside_it_that_it_imports(
    write: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("parts.py").write_text("half = 0.5")
    Path("unused.py").write_text("half = 0.5")
    write(f"from parts import half\n{NET}")
    before = closure.own_code("net.py")
    assert set(before) == {"own:net.py", "own:parts.py"}
    monkeypatch.setattr(code_state, "meanings", dict)

    def after(file: str, text: str) -> list[str]:
        Path(file).write_text(text)
        closure.forget()
        changed = [key for key, digest in closure.own_code("net.py").items() if digest != before[key]]
        assert code_state.changed(before) == changed  # what a job would say that finds it so
        return changed

    assert after("net.py", f"# a comment\nfrom parts import half\n{NET}") == []
    assert after("parts.py", "half = 0.6") == ["own:parts.py"]
    assert after("net.py", f"from parts import half\n{NET}\nmore = 1") == ["own:net.py", "own:parts.py"]
    Path("net.py").unlink()
    assert code_state.changed(before) == ["own:net.py", "own:parts.py"]


def test_a_file_of_the_folder_one_works_in_comes_before_the_workflows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert registry.own_file("examples/rwkv7.py") == shipped.STUDY / "examples" / "rwkv7.py"
    Path("examples").mkdir()
    Path("examples/rwkv7.py").write_text("")
    assert registry.own_file("examples/rwkv7.py").samefile(tmp_path / "examples" / "rwkv7.py")
