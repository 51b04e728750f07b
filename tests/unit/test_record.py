"""The recorder for one's own loop: what it keeps is true, and it changes no bit of a training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars
import pyarrow.parquet
import pytest
import torch

from warmup.record import EarlyDiagnostics

STEPS, FIRST = 12, 8


def loop(
    attach: Callable[[torch.nn.Module, torch.optim.Optimizer], None] = lambda *_: None, clip: float | None = None
) -> tuple[dict[str, torch.Tensor], list[float]]:
    """A plain loop of two micro-batches per update, with dropout; its weights at the end, its norms before clipping."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.1), torch.nn.GELU(), torch.nn.Linear(8, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.95), weight_decay=0.1)
    attach(model, optimizer)
    norms = []
    for _ in range(STEPS):
        for _ in range(2):
            model(torch.randn(16, 4)).square().mean().backward()
        gradients = [each.grad.double() for each in model.parameters()]
        norms.append(float(torch.cat([each.ravel() for each in gradients]).norm()))
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        optimizer.zero_grad()
    return model.state_dict(), norms


def test_recording_changes_no_bit_of_the_training(tmp_path: Path) -> None:
    recorder = EarlyDiagnostics(tmp_path / "early.parquet", planned_steps=STEPS, first=FIRST)
    plain, recorded = loop()[0], loop(recorder.attach)[0]
    assert all(torch.equal(plain[name], recorded[name]) for name in plain)
    assert (tmp_path / "early.parquet").exists()


def test_norms_are_those_of_the_whole_gradient_before_clipping(tmp_path: Path) -> None:
    recorder = EarlyDiagnostics(tmp_path / "early.parquet", planned_steps=STEPS, first=FIRST)
    _, norms = loop(recorder.attach, clip=1e-3)
    table = polars.read_parquet(tmp_path / "early.parquet")
    assert table["step"].to_list() == list(range(FIRST))
    assert table["gradient_norm"].to_list() == pytest.approx(norms[:FIRST], rel=1e-6)
    assert set(table["learning_rate"]) == {1e-2}


def test_norms_are_the_steps_own_where_backward_runs_inside_it(tmp_path: Path) -> None:
    """As in Lightning, which hands `optimizer.step` a closure that runs backward."""
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    EarlyDiagnostics(tmp_path / "early.parquet", planned_steps=STEPS, first=FIRST).attach(model, optimizer)
    norms: list[float] = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(torch.randn(16, 4)).square().mean()
        loss.backward()
        norms.append(float(torch.cat([each.grad.double().ravel() for each in model.parameters()]).norm()))
        return loss

    for _ in range(STEPS):
        optimizer.step(closure)
    found = polars.read_parquet(tmp_path / "early.parquet")["gradient_norm"].to_list()
    assert found == pytest.approx(norms[:FIRST], rel=1e-6)


def test_the_relative_update_of_adams_first_step_is_known(tmp_path: Path) -> None:
    """Every entry moves by the rate (and by decay), whatever the gradient: |move| = lr sqrt(entries), about."""
    kept: list[float] = []

    def attach(model: Any, optimizer: Any) -> None:
        matrices = [model[0].weight, model[3].weight]
        kept.extend(float(1e-2 * each.numel() ** 0.5 / each.detach().norm()) for each in matrices)
        recorder.attach(model, optimizer)

    recorder = EarlyDiagnostics(tmp_path / "early.parquet", planned_steps=STEPS, first=FIRST)
    loop(attach)
    first = polars.read_parquet(tmp_path / "early.parquet")["relative_update"][0]
    assert first == pytest.approx(sum(kept) / 2, rel=0.02)


def test_the_file_knows_the_recipe_and_the_recorder_lets_go(tmp_path: Path) -> None:
    recorder = EarlyDiagnostics(tmp_path / "early.parquet", planned_steps=STEPS, first=FIRST)
    held: list[Any] = []
    loop(lambda *parts: (recorder.attach(*parts), held.extend(parts))[0])
    facts = json.loads(pyarrow.parquet.read_metadata(tmp_path / "early.parquet").metadata[b"facts"])
    assert (facts["betas"], facts["weight_decay"], facts["peak_learning_rate"]) == ([0.9, 0.95], 0.1, 1e-2)
    assert (facts["planned_steps"], facts["parameters"], facts["optimizer"]) == (STEPS, 49, "AdamW")
    assert not held[1]._optimizer_step_pre_hooks and not held[1]._optimizer_step_post_hooks
    assert not any(each._post_accumulate_grad_hooks for each in held[0].parameters())


def test_a_training_that_ends_early_leaves_what_there_was(tmp_path: Path) -> None:
    recorder = EarlyDiagnostics(tmp_path / "early.parquet", planned_steps=100, first=100)
    loop(recorder.attach)
    assert not (tmp_path / "early.parquet").exists()
    recorder.close()
    assert polars.read_parquet(tmp_path / "early.parquet").height == STEPS


def test_more_steps_than_planned_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="200 steps to record do not lie between 1 and the planned 100"):
        EarlyDiagnostics(tmp_path / "early.parquet", planned_steps=100, first=200)


def test_transformers_trainer_is_recorded_by_a_callback(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=16, n_positions=8))
    data = [{"input_ids": torch.arange(8) % 16, "labels": torch.arange(8) % 16} for _ in range(8)]
    recorder = EarlyDiagnostics(tmp_path / "early.parquet", planned_steps=4, first=3)
    options: dict[str, Any] = {"max_steps": 4, "report_to": "none", "save_strategy": "no", "disable_tqdm": True}
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, learning_rate=1e-3, max_grad_norm=1e-6, **options)
    Trainer(model, arguments, train_dataset=data, callbacks=[recorder.for_transformers()]).train()
    table = polars.read_parquet(tmp_path / "early.parquet")
    assert table.height == 3 and table["gradient_norm"].min() > 1e-3, "norms after clipping would be 1e-6"
