"""The bill: counts against torch's own counter, sizes of the paper's models, memory against what autograd keeps."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from warmup import registry
from warmup.architectures import model
from warmup.config import configuration, grid
from warmup.cost import bill, expected_data, network, page, reality, step, study, tables
from warmup.errors import ConfigurationError
from warmup.tasks import _cross_entropy

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = Path("/nowhere")


def settings(scale: str, **top: Any) -> dict[str, Any]:
    return configuration.effective({**yaml.safe_load((ROOT / "config.yaml").read_text()), "scale": scale, **top})


def measured(chosen: dict[str, Any], architecture: str, task: str) -> network.Network:
    with expected_data.folder(chosen["tasks"][task], NOWHERE) as (folder, _):
        return network.measure(chosen["architectures"][architecture], chosen["tasks"][task], folder)


def choices(chosen: dict[str, Any]) -> dict[str, Any]:
    return {
        "settings": chosen,
        "runs": [list(run) for run in grid.runs(chosen)],
        "data": {task: str(NOWHERE) for task in chosen["tasks"]},
        "code": {"these tests": "one version"},  # steps are measured once, see `cache`
    }


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patched:
        folder = tmp_path_factory.mktemp("cache")
        patched.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


def test_a_step_that_was_measured_is_remembered_until_code_or_settings_change(cache: Path) -> None:
    chosen = settings("laptop")
    first = study.reckon(choices(chosen))
    there = set(cache.rglob("*.json"))
    assert study.reckon(choices(chosen)) == first and set(cache.rglob("*.json")) == there
    study.reckon({**choices(chosen), "code": {"these tests": "another version"}})
    assert len(set(cache.rglob("*.json"))) == len(there) + 12


SIZES = {"gpt2": 124_439_808, "mamba": 371_516_416, "rwkv": 430_397_440}


@pytest.mark.parametrize("architecture", SIZES)
def test_models_of_the_paper_have_their_published_size(architecture: str) -> None:
    assert measured(settings("paper"), architecture, "language").parameters == SIZES[architecture]


def test_the_jamba_of_the_paper_scale_has_400_million_parameters() -> None:
    counted = measured(settings("paper"), "jamba", "language")
    assert counted.parameters == pytest.approx(400e6, rel=0.03)
    assert counted.active_parameters < 0.6 * counted.parameters


def counter_total(chosen: dict[str, Any], architecture: str, task: str) -> int:
    """FLOPs that torch counts in a real forward pass of one example (plain attention: it overlooks the fused one's)."""
    entry = chosen["tasks"][task]
    with expected_data.folder(entry, NOWHERE) as (folder, _):
        served = registry.load("tasks", entry["kind"]).Task(entry, folder)
        built = model.build(chosen["architectures"][architecture], served, seed=0).eval()
        positions, shape = served.positions, served.shape
    if entry["kind"] == "language":
        inputs = torch.zeros(1, positions, dtype=torch.int64)
    elif entry["kind"] == "classification":
        inputs = torch.zeros(1, shape[2], *shape[:2])
    else:
        inputs = torch.zeros(1, entry["context"], served.channels)
    if built.backbone.config._attn_implementation in ("sdpa", model.NO_MASK):
        built.backbone.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        outputs = built(inputs)
        if entry["kind"] == "language":
            outputs.logits()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("task", ["language", "images", "series"])
def test_flops_of_gpt2_equal_torchs_count(task: str) -> None:
    chosen = settings("laptop")
    assert measured(chosen, "gpt2", task).matrix_flops == counter_total(chosen, "gpt2", task)


@pytest.mark.parametrize("task", ["language", "images", "series"])
def test_flops_of_rwkv_equal_torchs_count(task: str) -> None:
    chosen = settings("laptop")
    assert measured(chosen, "rwkv", task).matrix_flops == counter_total(chosen, "rwkv", task)


@pytest.mark.parametrize("architecture", ["vit", "swin", "convnext"])
def test_flops_of_a_backbone_that_takes_pixels_are_torchs_own(architecture: str) -> None:
    chosen = settings("laptop")
    assert measured(chosen, architecture, "images").matrix_flops == counter_total(chosen, architecture, "images")


@pytest.mark.parametrize("architecture", ["mamba", "jamba"])
@pytest.mark.parametrize("task", ["language", "images", "series"])
def test_flops_of_layers_with_a_scan_equal_torchs_count_of_their_modules(architecture: str, task: str) -> None:
    """torch misreads the fallback loop of the scan (it counts the loop's small products), so modules are compared."""
    chosen = settings("laptop")
    entry = chosen["tasks"][task]
    with expected_data.folder(entry, NOWHERE) as (folder, _):
        served = registry.load("tasks", entry["kind"]).Task(entry, folder)
        built = model.build(chosen["architectures"][architecture], served, seed=0)
        by_hand = sum(_module_flops(built, name, served) for name, _ in built.named_modules())
    assert by_hand == measured(chosen, architecture, task).matrix_flops


def _module_flops(built: model.Model, name: str, served: Any) -> int:
    """FLOPs of one module on its own, by torch's counter, on the positions it sees; of experts as many as top-k."""
    module = built.get_submodule(name) if name else built
    count = served.positions
    if name.startswith("output_adapter") and served.vocabulary is None:
        count = 1
    kind = type(module).__name__
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        if isinstance(module, torch.nn.Linear):
            torch.nn.functional.linear(torch.zeros(count, module.in_features), module.weight)
        elif isinstance(module, torch.nn.Conv1d):
            module(torch.zeros(1, module.in_channels, count))
        elif kind == "TiedHead":
            torch.nn.functional.linear(torch.zeros(count, module.tokens.embedding_dim), module.tokens.weight)
        elif kind == "JambaExperts":
            for _ in range(built.backbone.config.num_experts_per_tok):
                torch.nn.functional.linear(torch.zeros(count, module.gate_up_proj.shape[2]), module.gate_up_proj[0])
                torch.nn.functional.linear(torch.zeros(count, module.down_proj.shape[2]), module.down_proj[0])
        elif kind == "JambaTopKRouter":
            torch.nn.functional.linear(torch.zeros(count, module.weight.shape[1]), module.weight)
        elif kind == "JambaAttention":
            heads, width = built.backbone.config.num_attention_heads, module.head_dim
            states = torch.zeros(heads, count, width)
            (states @ states.transpose(1, 2)) @ states
    return int(counter.get_total_flops())


def test_experts_that_a_token_does_not_visit_cost_nothing() -> None:
    chosen = settings("laptop")
    few = measured(chosen, "jamba", "language")
    chosen["architectures"]["jamba"]["settings"]["num_experts"] = 8
    many = measured(chosen, "jamba", "language")
    sizes = chosen["architectures"]["jamba"]["settings"]
    period, offset = sizes["expert_layer_period"], sizes["expert_layer_offset"]
    routed = sum(layer % period == offset for layer in range(sizes["num_hidden_layers"]))
    # the router alone grows, by 4 experts in every layer that has any
    router = 2 * 4 * sizes["hidden_size"] * chosen["tasks"]["language"]["sequence_length"] * routed
    assert many.parameters > few.parameters
    assert many.matrix_flops - few.matrix_flops == router


def test_stacks_that_are_no_experts_count_whole() -> None:
    """RecurrentGemma's gates are block-diagonal matrices in three dimensions; its configuration knows no experts."""
    chosen = settings("laptop")
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    chosen["architectures"]["gpt2"] |= {"model_type": "recurrent_gemma", "settings": {**sizes, "lru_width": 32}}
    counted = measured(chosen, "gpt2", "language")
    assert counted.active_parameters == counted.parameters


def test_experts_under_an_unknown_number_per_token_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "CHOSEN_EXPERTS", ("none",))
    with pytest.raises(ConfigurationError, match="how many experts a token of JambaModel visits"):
        measured(settings("laptop"), "jamba", "language")


def stepped(chosen: dict[str, Any], architecture: str, task: str, examples: int) -> step.Step:
    entry = chosen["tasks"][task]
    with expected_data.folder(entry, NOWHERE) as (folder, _):
        served = registry.load("tasks", entry["kind"]).Task(entry, folder)
        return step.measure(
            chosen["architectures"][architecture], served, examples, precision=chosen["training"]["precision"]
        )


def test_memory_of_gpt2_is_that_of_a_count_by_hand_within_a_tenth() -> None:
    width, layers, positions, examples, vocabulary = 768, 12, 1024, 8, 50_257
    numbers = positions * examples * width
    kept_by_a_layer = (
        4 + 2  # residual stream in float32 for the norm, the normed in bfloat16 for the product
        + 3 * 2 + 2 + 2  # queries, keys, values; attention's output, and made contiguous for the product
        + 4 + 2  # the second norm
        + 4 * 2 + 4 * 2  # four widths before and after GELU
    ) * numbers  # fmt: skip
    head = 2 * numbers + 4 * vocabulary * width  # gradients of states (bfloat16) and of the head's matrix (float32)
    found = stepped(settings("paper"), "gpt2", "language", examples)
    assert found.kept == pytest.approx(layers * kept_by_a_layer + head, rel=0.1)
    assert found.weights == 4 * SIZES["gpt2"] and found.moments == 2 * found.weights
    at_most = _cross_entropy.LARGEST_PART * (2 + 4 + 4 + 2)  # a part's logits, their logarithms, their slopes
    fixed = found.weights + found.moments + found.kept
    assert fixed <= found.peak <= 1.1 * (fixed + at_most + found.gradients)


@pytest.mark.parametrize(
    "architecture, task", [("gpt2", "language"), ("rwkv", "language"), ("mamba", "series"), ("jamba", "images")]
)
def test_the_step_keeps_in_proportion_to_its_examples(architecture: str, task: str) -> None:
    chosen = settings("laptop")
    two, four = (stepped(chosen, architecture, task, examples) for examples in (2, 4))
    assert two.weights == four.weights and two.peak < four.peak
    assert four.kept / two.kept == pytest.approx(2, rel=0.3)


@pytest.mark.parametrize("architecture, task", [("gpt2", "language"), ("vit", "images"), ("swin", "images")])
def test_what_a_step_keeps_is_what_autograd_keeps_of_real_tensors(architecture: str, task: str) -> None:
    chosen = settings("laptop")
    entry, examples = chosen["tasks"][task], 4
    with expected_data.folder(entry, NOWHERE) as (folder, _):
        served = registry.load("tasks", entry["kind"]).Task(entry, folder)
        built = model.build(chosen["architectures"][architecture], served, seed=0).train()
    own = {parameter.untyped_storage().data_ptr() for parameter in built.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    inputs, targets = step.batch(served, examples, "cpu")
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = served.loss(built(inputs), targets)
    assert loss.requires_grad
    assert stepped(chosen, architecture, task, examples).kept == pytest.approx(sum(kept.values()), rel=0.25)


def test_a_step_does_the_matrix_products_that_the_network_is_known_to_do() -> None:
    chosen = settings("laptop")
    for architecture in ("gpt2", "rwkv"):
        done = sum(flops * count for flops, _, _, count in stepped(chosen, architecture, "language", 2).operations)
        forward = measured(chosen, architecture, "language").matrix_flops * 2
        assert done == pytest.approx(bill.TRAINED * forward, rel=0.1), architecture


@pytest.mark.parametrize("gpu", ["a100", "a100_40gb"])
def test_the_paper_study_fits_with_the_micro_batches_that_the_bill_proposes(gpu: str) -> None:
    chosen = settings("paper", hardware={"gpu": gpu})
    rows, _ = study.reckon(choices(chosen))
    named = [row for row in rows if row.note]
    assert bool(named) == (gpu == "a100_40gb")
    for row in named:
        assert f"micro_batch.{row.task} to {row.largest_micro_batch}" in row.note
        chosen["architectures"][row.architecture]["micro_batch"][row.task] = row.largest_micro_batch
    rows, _ = study.reckon(choices(chosen))
    assert all(not row.note and row.memory_gb <= bill.device(chosen)["memory_gb"] for row in rows)


def test_a_measured_step_takes_the_place_of_the_roofline() -> None:
    chosen = settings("laptop", hardware={"step_seconds": {"cpu": {"gpt2/language": 0.125}}})
    rows, _ = study.reckon(choices(chosen))
    found = {(row.architecture, row.task): row.step_seconds for row in rows}
    assert found["gpt2", "language"] == 0.125 != found["gpt2", "series"]


def test_a_network_whose_step_needs_values_has_a_bill_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings("laptop")

    def looks(*_: object, **__: object) -> None:
        raise ValueError("a look at values that are not there")

    monkeypatch.setattr(step, "measure", looks)
    rows, _ = study.reckon({**choices(chosen), "code": {}})
    assert all("cannot run without memory (ValueError)" in row.note and row.step_seconds > 0 for row in rows)


def test_a_faster_device_is_faster_and_no_step_is_faster_than_its_launches() -> None:
    chosen = settings("laptop")
    (before, *_), _ = study.reckon(choices(chosen))
    chosen["hardware"]["gpus"]["cpu"]["launch_seconds"] = 1.0
    (slow, *_), _ = study.reckon(choices(chosen))
    assert slow.step_seconds > 100 > before.step_seconds


@pytest.mark.parametrize("name", sorted(settings("laptop")["studies"]))
def test_every_shipped_study_has_a_bill(name: str) -> None:
    rows, totals = study.reckon(choices(settings("laptop", study=name)))
    assert totals.runs == sum(row.runs for row in rows) > 0


def test_the_disk_of_runs_that_others_continue_is_that_of_their_last_checkpoints() -> None:
    chosen = settings("laptop", study="rewarm")
    trunks = grid.trunk_runs(chosen, grid.runs(chosen))
    rows, totals = study.reckon({**choices(chosen), "runs": [*map(list, [*grid.runs(chosen), *trunks])]})
    sizes = {(row.architecture, row.task): row.parameters for row in rows}
    assert totals.kept_gb == pytest.approx(sum(3 * 4 * sizes[run.architecture, run.task] for run in trunks) / 1e9)
    assert totals.kept_gb > 0
    assert "last checkpoints that other runs begin with" in page.disk(totals)[0]
    _, without = study.reckon(choices(settings("laptop")))
    assert without.kept_gb == 0 and "begin with" not in page.disk(without)[0]


def test_bill_of_the_paper_scale_covers_840_runs() -> None:
    chosen = settings("paper")
    rows, totals = study.reckon(choices(chosen))
    assert totals.runs == sum(row.runs for row in rows) == 840
    assert totals.hours == pytest.approx(sum(row.total_hours for row in rows))
    assert totals.wall_hours >= totals.hours / totals.count
    assert tables.bill_of(tables.of_bill(rows)) == rows
    printed = page.text("paper", rows, totals, [])
    assert "840 runs on NVIDIA A100" in printed
    assert all(row.architecture in page.html("paper", rows, totals, []) for row in rows)


def test_twice_the_steps_cost_twice_the_time_of_steps() -> None:
    chosen = settings("laptop")
    once, _ = study.reckon(choices(chosen))
    chosen["training"]["steps"] *= 2
    twice, _ = study.reckon(choices(chosen))
    for one, two in zip(once, twice, strict=True):
        assert one.run_hours < two.run_hours <= 2 * one.run_hours
        assert two.log_gb == pytest.approx(2 * one.log_gb)


def test_an_unknown_device_is_refused_with_the_known_ones() -> None:
    chosen = settings("paper", hardware={"gpu": "a1000"})
    with pytest.raises(ConfigurationError, match=r"hardware.gpu: 'a1000' is not known.*a100, a100_40gb, h100"):
        bill.device(chosen)


@pytest.mark.parametrize("task", ["language", "images", "series"])
@pytest.mark.parametrize("scale", ["laptop"])
def test_expected_shapes_are_those_of_the_prepared_data(scale: str, task: str, tmp_path: Path) -> None:
    from warmup.data import preparation

    chosen = settings(scale)
    entry = chosen["tasks"][task]
    preparation.prepare(grid.data_settings(chosen, task), tmp_path / "data")
    facts = json.loads((tmp_path / "data" / "data.json").read_text())
    with expected_data.folder(entry, NOWHERE) as (folder, note):
        assert note == ""
        expected = json.loads((folder / "data.json").read_text())
        if task == "images":
            served = registry.load("tasks", "classification")
            shapes = [served.Task(entry, place).shape for place in (folder, tmp_path / "data")]
            assert shapes[0] == shapes[1] and len(expected["classes"]) == len(facts["classes"])
        elif task == "language":
            assert expected["vocabulary"]["size"] == facts["vocabulary"]["size"]
        else:
            assert len(expected["channels"]) == len(facts["channels"])


def test_finished_runs_are_compared_and_resumed_ones_counted(tmp_path: Path) -> None:
    chosen = settings("paper")
    rows, _ = study.reckon(choices(chosen))
    row = rows[0]
    for index, (hours, sessions) in enumerate([(2.0, 1), (2.0, 1), (2.1, 2)]):
        facts = {"seconds": 3600 * hours * row.run_hours, "sessions": [{}] * sessions, "peak_gpu_memory_mb": 30_000}
        (tmp_path / f"{index}.json").write_text(json.dumps(facts))
    files = {(row.architecture, row.task, row.recipe): sorted(tmp_path.glob("*.json"))}
    (found,) = reality.compare(chosen, rows, files)
    assert (found.runs, found.resumed) == (3, 1)
    assert found.ratio == pytest.approx(2.0)
    seconds = 2 * row.run_hours * 3600 / chosen["training"]["steps"]
    assert found.utilisation == pytest.approx(row.flops_per_step / seconds / 3.12e14)


def test_the_study_of_what_people_train_now_has_a_bill() -> None:
    chosen = settings("laptop", study="modern")
    rows, _ = study.reckon(choices(chosen))
    assert {row.architecture for row in rows} >= {"qwen3_next", "recurrent_gemma", "falcon_h1", "mamba2", "xlstm"}
