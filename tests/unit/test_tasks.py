"""Batches as pure functions of (task, seed, step); losses and metrics against their definitions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from warmup.errors import ConfigurationError
from warmup.random_streams import stream, torch_seed
from warmup.tasks import classification, forecasting, language

SIZES = {"batch_size": 6, "validation_examples": 10}
KINDS: dict[str, Any] = {
    "language": (language.Task, {"kind": "language", "sequence_length": 12, **SIZES}),
    "images": (classification.Task, {"kind": "classification", "patch_size": 4, **SIZES}),
    "series": (forecasting.Task, {"kind": "forecasting", "context": 12, "horizon": 3, "patch_length": 3, **SIZES}),
}


def make(name: str, prepared: Path, **changes: Any) -> Any:
    kind, options = KINDS[name]
    return kind({**options, **changes}, prepared / name)


@pytest.mark.parametrize("name", KINDS)
def test_a_batch_is_a_function_of_seed_and_step_alone(name: str, prepared: Path) -> None:
    first, second = make(name, prepared), make(name, prepared)
    later = second.batch(seed=1, step=7)
    for step in range(7):
        first.batch(seed=1, step=step)
    again = first.batch(seed=1, step=7)
    assert all(torch.equal(one, two) for one, two in zip(later, again, strict=True))
    assert not torch.equal(first.batch(seed=2, step=7)[0], again[0])
    assert not torch.equal(first.batch(seed=1, step=8)[0], again[0])


@pytest.mark.parametrize("name", KINDS)
def test_batches_take_nothing_from_torch_s_global_random_numbers(name: str, prepared: Path) -> None:
    before = torch.get_rng_state()
    make(name, prepared).batch(seed=0, step=0)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", KINDS)
def test_validation_examples_are_fixed_and_as_many_as_asked(name: str, prepared: Path) -> None:
    task = make(name, prepared)
    first, second = list(task.validation()), list(task.validation())
    assert sum(len(inputs) for inputs, _ in first) == SIZES["validation_examples"]
    assert all(torch.equal(one[0], two[0]) for one, two in zip(first, second, strict=True))


def test_targets_of_language_are_the_tokens_one_further(prepared: Path) -> None:
    inputs, targets = make("language", prepared).batch(seed=0, step=0)
    assert inputs.shape == targets.shape == (6, 12)
    assert torch.equal(inputs[:, 1:], targets[:, :-1])


def test_every_image_is_seen_once_per_pass_in_an_order_of_its_own(prepared: Path) -> None:
    task = make("images", prepared, batch_size=10)
    passes = [np.concatenate([task.training_indices(3, step) for step in range(first, first + 4)]) for first in (0, 4)]
    assert [sorted(indices) for indices in passes] == [list(range(40))] * 2
    assert not np.array_equal(*passes)


def test_the_order_of_images_does_not_depend_on_where_batches_end(prepared: Path) -> None:
    small, large = make("images", prepared, batch_size=4), make("images", prepared, batch_size=12)
    joined = np.concatenate([small.training_indices(0, step) for step in range(9)])
    assert np.array_equal(joined, np.concatenate([large.training_indices(0, step) for step in range(3)]))


def test_the_forecast_horizon_follows_the_context(prepared: Path) -> None:
    task = make("series", prepared)
    past, future = task.examples("train", np.array([5]))
    rows = torch.from_numpy(np.array(task.array("train")))
    assert torch.equal(past[0], rows[5:17])
    assert torch.equal(future[0], rows[17:20])
    assert task.count("train") == 200 - 12 - 3 + 1


def test_patches_hold_the_pixels_of_their_square(prepared: Path) -> None:
    task = make("images", prepared)
    inputs, _ = task.batch(seed=0, step=0)
    embedding, _ = task.adapters(16, None, True, False)
    with torch.no_grad():
        embedding.projection.weight.copy_(torch.eye(16))
        embedding.projection.bias.zero_()
        patches = embedding(inputs)
    assert patches.shape == (6, 4, 16)
    assert torch.equal(patches[0, 1], inputs[0, 0, :4, 4:].flatten())
    assert torch.equal(patches[0, 2], inputs[0, 0, 4:, :4].flatten())


def test_uniform_logits_have_the_loss_of_a_guess_and_its_perplexity(prepared: Path) -> None:
    task = make("language", prepared)
    _, targets = task.batch(seed=0, step=0)
    loss = task.loss(language.Scores(torch.zeros(6, 12, 8), torch.ones(256, 8)), targets)
    assert float(loss) == pytest.approx(np.log(256))
    assert task.metric_of(float(loss)) == pytest.approx(256)
    assert np.isfinite(task.metric_of(1e9))


def test_accuracy_counts_the_top_class(prepared: Path) -> None:
    task = make("images", prepared)
    _, targets = task.batch(seed=0, step=0)
    outputs = torch.nn.functional.one_hot(targets, 4).float()
    outputs[0] = torch.roll(outputs[0], 1)
    assert float(task.measure(outputs, targets, task.loss(outputs, targets))) == pytest.approx(5 / 6)


def test_forecast_error_is_measured_over_batch_horizon_and_channels(prepared: Path) -> None:
    task = make("series", prepared)
    _, future = task.batch(seed=0, step=0)
    loss = task.loss(future + 2.0, future)
    assert float(loss) == pytest.approx(4.0)
    assert float(task.measure(future + 2.0, future, loss)) == pytest.approx(2.0)


@pytest.mark.parametrize("name", KINDS)
def test_losses_of_examples_leave_the_batch_s_loss_its_bits_and_are_those_of_each_example_alone(
    name: str, prepared: Path
) -> None:
    task = make(name, prepared)
    _, targets = task.batch(seed=0, step=0)
    draws = torch.Generator().manual_seed(0)
    outputs: Any = {
        "language": language.Scores(torch.randn(6, 12, 8, generator=draws), torch.randn(256, 8, generator=draws)),
        "images": torch.randn(6, 4, generator=draws),
        "series": torch.randn(targets.shape, generator=draws),
    }[name]
    loss, each = task.losses(outputs, targets)
    assert torch.equal(loss, task.loss(outputs, targets))
    for index in range(6):
        part = slice(index, index + 1)
        alone = outputs._replace(states=outputs.states[part]) if name == "language" else outputs[part]
        assert float(each[index]) == pytest.approx(float(task.loss(alone, targets[part])), rel=1e-5)


def test_images_stand_alone_and_windows_of_a_source_share_stretches_longer_than_their_targets(prepared: Path) -> None:
    assert make("images", prepared).validation_stretches == 10
    series, text = make("series", prepared, validation_examples=40), make("language", prepared, validation_examples=40)
    rows = len(series.array("validation")) - 12, len(text.array("validation")) - 1
    assert series.validation_stretches == min(40, rows[0] // 6) > 2
    assert text.validation_stretches == min(40, rows[1] // 24) > 2


def test_a_patch_that_does_not_divide_is_refused(prepared: Path) -> None:
    with pytest.raises(ConfigurationError, match="patch_size: 3 does not divide"):
        _ = make("images", prepared, patch_size=3).positions


@given(some.integers(0, 2**31), some.integers(0, 2**31))
@settings(max_examples=50)
def test_streams_differ_by_every_part_of_their_name(seed: int, step: int) -> None:
    draw = stream("batch", seed, step).integers(0, 2**62)
    assert draw == stream("batch", seed, step).integers(0, 2**62)
    assert draw != stream("batch", seed, step + 1).integers(0, 2**62)
    assert draw != stream("order", seed, step).integers(0, 2**62)
    assert 0 <= torch_seed("dropout", seed, step) < 2**63
