"""What a run promises: the same world for every warmup, records that change nothing, divergence as data."""

import errno
import json
import math
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import polars
import pyarrow.parquet
import pytest
import torch

from warmup.cluster import exhaustion
from warmup.config import grid
from warmup.errors import EnvironmentProblemError
from warmup.training import loop, recording

pytestmark = pytest.mark.usefixtures("one_thread")
ARCHITECTURES = ["gpt2", "mamba", "jamba", "rwkv"]
Settings = Callable[..., dict[str, Any]]


def operation(folder: Path, steps: int | None = None) -> loop.Operation:
    return loop.Operation(folder / "checkpoints", 10, steps, 60)


def train(settings: dict[str, Any], prepared: Path, folder: Path) -> Path:
    loop.run(settings, prepared / settings["coordinates"]["task"], folder / "run", operation(folder))
    return folder / "run"


def start(settings: dict[str, Any], prepared: Path) -> loop.Training:
    return loop.Training(settings, prepared / settings["coordinates"]["task"], torch.device("cpu"))


def log(folder: Path) -> polars.DataFrame:
    return polars.read_parquet(folder / "log.parquet")


@pytest.mark.parametrize("task", ["language", "images", "series"])
def test_a_run_leaves_its_files_and_nothing_else(
    task: str, run_settings: Settings, prepared: Path, tmp_path: Path
) -> None:
    settings = run_settings(task=task)
    folder = train(settings, prepared, tmp_path)
    assert sorted(file.name for file in folder.iterdir()) == sorted(grid.RUN_FILES)
    assert list((tmp_path / "checkpoints").iterdir()) == []
    rows = log(folder)
    groups = [name for name in rows.columns if name.startswith("gradient_norm/")]
    assert rows.columns[:4] == ["step", "learning_rate", "loss", "gradient_norm"]
    assert rows["step"].to_list() == list(range(settings["training"]["steps"]))
    assert rows.schema["step"] == polars.Int32
    assert all(rows.schema[name] == polars.Float32 for name in groups)
    combined = rows.select(polars.sum_horizontal(polars.col(groups).cast(polars.Float64) ** 2).sqrt()).to_series()
    assert (combined - rows["gradient_norm"]).abs().max() < 1e-5 * rows["gradient_norm"].max()
    metadata = pyarrow.parquet.read_schema(folder / "log.parquet").metadata
    assert json.loads(metadata[b"coordinates"]) == settings["coordinates"]
    summary = json.loads((folder / "summary.json").read_text())
    evaluation = polars.read_parquet(folder / "evaluation.parquet")
    assert summary["status"] == "finished"
    assert summary["best_validation_loss"] == evaluation["loss"].min()
    assert evaluation["step"].to_list()[0] == 0
    assert evaluation["step"].to_list()[-1] == settings["training"]["steps"]
    assert summary["metric"]["name"] in evaluation.columns


@pytest.mark.parametrize("task", ["language", "images", "series"])
def test_losses_of_validation_examples_stay_with_the_best_validation_and_the_last_and_change_no_loss(
    task: str, run_settings: Settings, prepared: Path, tmp_path: Path
) -> None:
    # a rate that makes the last validation worse than an earlier one
    rising = run_settings(task=task, warmup="0", recipes={"adamw": {"peak_learning_rate": 30.0}})
    folder = train(rising, prepared, tmp_path)
    rows = polars.read_parquet(folder / "evaluation.parquet")
    summary = json.loads((folder / "summary.json").read_text())
    kept = rows.filter(polars.col("example_losses").is_not_null())
    assert kept["step"].to_list() == [summary["best_step"], rows["step"][-1]]
    assert kept.schema["example_losses"] == polars.List(polars.Float32)
    examples = summary["validation_examples"]
    assert kept["example_losses"].list.len().to_list() == [examples] * 2
    means = kept["example_losses"].list.eval(polars.element().cast(polars.Float64)).list.mean()
    assert means.to_list() == pytest.approx(kept["loss"].to_list(), rel=1e-6)
    stretches = summary["validation_stretches"]
    assert 2 <= stretches <= examples and rows["loss_error"].min() > 0
    if task == "images":
        spread = kept["example_losses"].list.eval(polars.element().cast(polars.Float64)).list.std()
        assert kept["loss_error"].to_list() == pytest.approx((spread / examples**0.5).to_list())
    assert [summary["best_validation_error"], summary["final_validation_error"]] == kept["loss_error"].to_list()
    untrained = start(rising, prepared)
    untrained.model.eval()
    with torch.no_grad():
        parts = [(untrained.task.loss(untrained.model(x), y).double() * len(x)) for x, y in untrained.task.validation()]
    assert rows["loss"][0] == float(torch.stack(parts).sum()) / examples


def test_recorded_norms_are_those_of_the_gradients(run_settings: Settings, prepared: Path) -> None:
    ours = start(run_settings(), prepared)
    inputs, targets = ours.task.batch(ours.seed, 0)
    ours.task.loss(ours.model(inputs), targets).backward()
    expected = math.sqrt(
        sum(float(p.grad.double().square().sum()) for p in ours.model.parameters() if p.grad is not None)
    )
    ours.model.zero_grad()
    ours.update()
    table = ours.recorder.log(ours.rates, 1, {})
    assert table["gradient_norm"][0].as_py() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_same_seed_gives_same_weights_and_batches_for_every_warmup_and_recipe(
    architecture: str, run_settings: Settings, prepared: Path
) -> None:
    loops = [
        start(run_settings(architecture, warmup=warmup, recipe=recipe), prepared)
        for warmup, recipe in (("0", "adamw"), ("0.25", "adamw"), ("0", "wsd"))
    ]
    weights = [ours.model.state_dict() for ours in loops]
    for name, value in weights[0].items():
        assert all(torch.equal(value, other[name]) for other in weights[1:]), name
    for step in (0, 5):
        batches = [ours.batch(step)[0] for ours in loops]
        assert all(torch.equal(batches[0], other) for other in batches[1:])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_probes_change_no_bit_of_the_trajectory(
    architecture: str, run_settings: Settings, prepared: Path, tmp_path: Path
) -> None:
    on = run_settings(architecture)
    names = [name for name, entry in on["probes"].items() if isinstance(entry, dict)]
    off = run_settings(architecture, probes={name: {"enabled": False} for name in names})
    assert grid.enabled_probes(on["probes"]) and not grid.enabled_probes(off["probes"])
    with_probes, without = train(on, prepared, tmp_path / "on"), train(off, prepared, tmp_path / "off")
    assert log(with_probes).equals(log(without))
    assert polars.read_parquet(with_probes / "evaluation.parquet").equals(
        polars.read_parquet(without / "evaluation.parquet")
    )
    assert polars.read_parquet(with_probes / "attention.parquet").height > 0
    assert polars.read_parquet(without / "attention.parquet").height == 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_run_stopped_anywhere_and_resumed_ends_in_the_same_bytes(
    architecture: str, run_settings: Settings, prepared: Path, tmp_path: Path
) -> None:
    settings = run_settings(architecture, recipe="adamw")
    whole = train(settings, prepared, tmp_path / "whole")
    folder = tmp_path / "stopped"
    for stop in (1, 7, 20):
        stop_after(settings, prepared, folder, stop)
    resumed = train(settings, prepared, folder)
    for name in grid.RUN_FILES:
        if name != "resources.json":
            assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name
    facts = json.loads((resumed / "resources.json").read_text())
    sessions = facts["sessions"]
    steps = [(session["first_step"], session["last_step"]) for session in sessions]
    assert steps == [(0, 1), (1, 7), (7, 20), (20, settings["training"]["steps"])]
    assert facts["seconds"] == pytest.approx(sum(session["seconds"] for session in sessions))
    ended = [datetime.fromisoformat(session["ended"]) for session in sessions]
    began = [datetime.fromisoformat(session["began"]) for session in sessions]
    assert all(before <= after for before, after in zip(ended[:-1], began[1:], strict=True))


def stop_after(settings: dict[str, Any], prepared: Path, folder: Path, step: int) -> None:
    """Train until `step` updates are done, checkpoint, and stop as on SIGTERM."""
    store = loop.Store(folder / "checkpoints", settings)
    with store.locked():
        ours = start(settings, prepared)
        saved = store.load()
        if saved is not None:
            ours.restore(saved[1])
        else:
            ours.evaluate()
        while ours.step < step:
            ours.update()
        store.save(ours.step, ours.state())


def test_a_diverging_run_is_data(run_settings: Settings, prepared: Path, tmp_path: Path) -> None:
    settings = run_settings(warmup="0", recipes={"adamw": {"peak_learning_rate": 1e30}})
    folder = train(settings, prepared, tmp_path)
    summary, rows = json.loads((folder / "summary.json").read_text()), log(folder)
    assert summary["status"] == "diverged"
    assert 0 < rows.height == summary["steps_done"] < settings["training"]["steps"]
    assert not math.isfinite(rows["loss"][-1])
    assert rows["loss"][:-1].is_finite().all()
    assert summary["initial_validation_loss"] is not None
    assert summary["final_training_loss"] is None


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_run_that_is_looked_at_now_and_then_keeps_no_rows_after_a_nan(
    interrupted: bool, run_settings: Settings, prepared: Path
) -> None:
    """As on a GPU, where a look costs a synchronisation: the first validation after the NaN and a checkpoint look."""
    settings = run_settings(warmup="0", recipes={"adamw": {"peak_learning_rate": 1e30}})
    exact, rare = start(settings, prepared), start(settings, prepared)
    rare.look_steps = 10_000
    rare.evaluation_steps = {rare.last} if interrupted else {5, rare.last}
    rare.probes.due = lambda _step: False  # type: ignore[method-assign]
    for ours in (exact, rare):
        ours.evaluate()
        while not ours.done and not (interrupted and ours is rare and ours.step == 9 and rare.not_finite()):
            ours.update()
    assert exact.diverged and rare.diverged
    assert rare.step == exact.step < 5
    assert all(math.isfinite(row["loss"]) for row in rare.recorder.evaluations)
    again = start(settings, prepared)
    again.restore(rare.state())
    assert again.done and again.status() == "diverged"


def test_a_schedule_that_ends_at_zero_is_probed_to_its_end(
    run_settings: Settings, prepared: Path, tmp_path: Path
) -> None:
    settings = run_settings(recipes={"adamw": {"floor": 0.0}})
    folder = train(settings, prepared, tmp_path)
    assert log(folder)["learning_rate"][-1] == 0.0
    last = polars.read_parquet(folder / "attention.parquet").filter(step=settings["training"]["steps"] - 1)
    updates = last.filter(polars.col("quantity") == "sigma_1_update")
    assert updates.height > 0 and updates["value"].null_count() == updates.height
    assert last.filter(polars.col("quantity") == "sigma_1_weight")["value"].null_count() == 0


def test_a_disk_full_at_the_end_is_told_and_costs_no_step(
    run_settings: Settings, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = run_settings()
    whole = train(settings, prepared, tmp_path / "whole")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(EnvironmentProblemError, match="no room for the files"):
        patched.setattr(recording, "write", full)
        train(settings, prepared, tmp_path / "full")
    with monkeypatch.context() as patched:
        patched.setattr(loop.Training, "update", full)  # no step is trained again
        again = train(settings, prepared, tmp_path / "full")
    for name in grid.RUN_FILES:
        if name != "resources.json":
            assert (again / name).read_bytes() == (whole / name).read_bytes(), name


def test_micro_batches_bound_validation_and_probes_too(run_settings: Settings, prepared: Path) -> None:
    ours = start(run_settings(training={"micro_batch": 2}), prepared)
    sizes: list[int] = []
    ours.model.input_adapter.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    ours.evaluate()
    for _ in range(3):
        ours.update()
    probed = int(ours.settings["probes"]["samples"])
    assert set(sizes) - {probed} <= {1, 2} and len(sizes) > 6


def test_micro_batches_of_a_reparametrised_model_change_it_by_rounding_only(
    run_settings: Settings, prepared: Path, tmp_path: Path
) -> None:
    changed = {"gpt2": {"interventions": {"sigma_reparametrisation": True}}}
    whole = log(train(run_settings(architectures=changed), prepared, tmp_path / "whole"))
    settings = run_settings(architectures=changed, training={"micro_batch": 1})
    parts = log(train(settings, prepared, tmp_path / "parts"))
    assert ((whole["loss"] / parts["loss"]) - 1).abs().head(5).max() < 1e-5


def test_a_run_that_learns_nothing_is_collapsed(run_settings: Settings, prepared: Path, tmp_path: Path) -> None:
    settings = run_settings(recipes={"adamw": {"peak_learning_rate": 1e-12}})
    folder = train(settings, prepared, tmp_path)
    assert json.loads((folder / "summary.json").read_text())["status"] == "collapsed"


def test_norms_are_recorded_before_clipping(run_settings: Settings, prepared: Path, tmp_path: Path) -> None:
    free = train(run_settings(recipe="adamw"), prepared, tmp_path / "free")
    tight = train(run_settings(recipe="adamw", recipes={"adamw": {"clip": 1e-3}}), prepared, tmp_path / "tight")
    assert log(free)["gradient_norm"][0] == log(tight)["gradient_norm"][0] > 1e-3
    assert log(free)["loss"][-1] != log(tight)["loss"][-1]


def test_clipping_scales_to_the_largest_norm(run_settings: Settings, prepared: Path) -> None:
    ours = start(run_settings(), prepared)
    loss = ours._backward(ours.batch(0))
    ours.recorder.record(0, loss)
    ours.recorder.clip(0, 0.01)
    norms = [float(gradient.square().sum()) for gradient in ours.recorder.gradients()]
    assert math.sqrt(sum(norms)) == pytest.approx(0.01, rel=1e-5)


def test_micro_batches_change_a_run_by_rounding_only(run_settings: Settings, prepared: Path, tmp_path: Path) -> None:
    whole = log(train(run_settings(), prepared, tmp_path / "whole"))
    parts = log(train(run_settings(training={"micro_batch": 1}), prepared, tmp_path / "parts"))
    assert (whole["loss"][0] - parts["loss"][0]) == pytest.approx(0, abs=1e-5)
    assert ((whole["gradient_norm"] / parts["gradient_norm"])[:3] - 1).abs().max() < 1e-4
    assert ((whole["loss"] / parts["loss"]) - 1).abs().max() < 1e-2


def test_dropout_is_a_function_of_seed_and_step(run_settings: Settings, prepared: Path, tmp_path: Path) -> None:
    settings = run_settings(architectures={"gpt2": {"settings": {"resid_pdrop": 0.3}}})
    first, second = train(settings, prepared, tmp_path / "one"), train(settings, prepared, tmp_path / "two")
    assert log(first).equals(log(second))
    assert not log(first).equals(log(train(run_settings(), prepared, tmp_path / "none")))


def test_a_probe_run_is_the_beginning_of_the_whole_run(run_settings: Settings, prepared: Path, tmp_path: Path) -> None:
    settings = run_settings(warmup="0")
    whole = log(train(settings, prepared, tmp_path / "whole"))
    short = log(train({**settings, "stop_after": 9}, prepared, tmp_path / "short"))
    assert short.equals(whole.head(9))


@pytest.mark.parametrize("error", [MemoryError("no"), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_out_of_memory_names_the_run_its_batch_and_the_keys(error: Exception, run_settings: Settings) -> None:
    settings = run_settings()
    with pytest.raises(EnvironmentProblemError) as refused, loop.out_of_memory_explained(settings):
        raise error
    for part in (
        "architecture=gpt2",
        "batch of 4",
        "architectures.gpt2.micro_batch.language to 2",
        "tasks.language.batch_size",
    ):
        assert part in str(refused.value)


def test_our_sentence_about_a_gpus_memory_is_not_read_as_the_hosts(run_settings: Settings, tmp_path: Path) -> None:
    settings = run_settings()
    settings["training"]["device"] = "cuda"
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 6.14 GiB.")
    with pytest.raises(EnvironmentProblemError) as told, loop.out_of_memory_explained(settings):
        raise error
    (tmp_path / "1.log").write_text(f"error: {told.value}\n")
    assert exhaustion.times(tmp_path) == (0, 0)


def test_a_host_out_of_memory_beside_a_gpu_is_told_as_the_hosts(run_settings: Settings, tmp_path: Path) -> None:
    settings = run_settings()
    settings["training"]["device"] = "cuda"
    with pytest.raises(EnvironmentProblemError) as told, loop.out_of_memory_explained(settings):
        raise MemoryError("Unable to allocate 8.1 GiB")
    assert "out of memory (host)" in str(told.value)
    assert "micro_batch" not in str(told.value)
    (tmp_path / "1.log").write_text(f"error: {told.value}\n")
    assert exhaustion.times(tmp_path) == (1, 0)


def test_other_errors_are_not_taken_for_out_of_memory(run_settings: Settings) -> None:
    with pytest.raises(RuntimeError, match="shape"), loop.out_of_memory_explained(run_settings()):
        raise RuntimeError("shape mismatch")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this is about machines without a GPU")
def test_asking_for_cuda_where_there_is_none_stops_at_once_and_says_so(
    run_settings: Settings, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop.devices, "lease", nullcontext)
    with pytest.raises(EnvironmentProblemError, match=r"training\.device is cuda"):
        train(run_settings(training={"device": "cuda"}), prepared, tmp_path)


@pytest.mark.parametrize(("steps", "even", "early"), [(150, 12, 3), (24, 4, 1), (10, 10, 5), (50_000, 100, 8)])
def test_validations_begin_before_the_first_step_and_end_after_the_last(steps: int, even: int, early: int) -> None:
    places = recording.spaced(steps, even, early)
    assert places[0] == 0
    assert places[-1] == steps
    assert places == sorted(set(places))
    assert even + 1 <= len(places) <= even + early + 1
