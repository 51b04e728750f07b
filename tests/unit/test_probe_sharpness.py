"""The line search finds the rate a known curve has; the noise scale is unbiased where signal and noise are known."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from probing import built, language_task, look_at, probe_settings
from torch import nn

from warmup.architectures import roles
from warmup.optimizers import adamw
from warmup.probes import sharpness

SETTINGS = probe_settings()["sharpness"]


@given(critical=st.floats(1e-4, 10.0), start=st.floats(1e-3, 1.0), tolerance=st.floats(0.01, 0.5))
def test_the_critical_rate_of_a_parabola_is_found_within_the_tolerance(
    critical: float, start: float, tolerance: float
) -> None:
    """loss(rate) = rate (rate - critical) rises above loss(0) at `critical`: 2 / critical is its sharpness."""
    rate, missed = sharpness.critical_rate(lambda rate: rate * (rate - critical), start, tolerance, 20)
    assert missed == ""
    assert critical <= rate * (1 + 1e-9) and rate <= critical * (1 + tolerance) * (1 + 1e-9)


def test_a_loss_that_never_rises_or_never_falls_has_no_critical_rate() -> None:
    assert sharpness.critical_rate(lambda rate: -rate, 1.0, 0.1, 3) == (8.0, "above")
    assert sharpness.critical_rate(lambda rate: rate, 1.0, 0.1, 3) == (0.125, "below")


def test_a_loss_that_is_not_a_number_counts_as_raised() -> None:
    rate, _ = sharpness.critical_rate(lambda rate: math.nan if rate > 3 else -rate, 1.0, 0.1, 10)
    assert 3 < rate < 3.3


def trained_step(tmp_path: Any) -> tuple[Any, Any]:
    task = language_task(tmp_path)
    model = built("gpt2", task)
    inputs, targets = task.batch(0, 0)
    task.loss(model(inputs), targets).backward()
    look = look_at(model, inputs, SETTINGS, task=task, targets=targets)
    look.old = {name: parameter.detach().clone() for name, parameter in roles.trained(model)}
    recipe = {"peak_learning_rate": 1e-3, "betas": [0.9, 0.999], "epsilon": 1e-8}
    optimizer = adamw.create(roles.parameter_groups(model, 0.0), recipe)
    optimizer.step()
    look.learning_rate = 1e-3
    return look, task


def test_the_critical_rate_of_a_model_is_where_its_loss_crosses(tmp_path: Any) -> None:
    look, task = trained_step(tmp_path)
    new = {name: parameter.detach().clone() for name, parameter in roles.trained(look.model)}
    rows = {row["quantity"]: row["value"] for row in sharpness.after_update(look)}
    for name, parameter in roles.trained(look.model):
        assert torch.equal(parameter, new[name])
    rate = rows["critical_learning_rate"]
    assert rows["critical_sharpness"] == pytest.approx(2 / rate)

    inputs, targets = (part[:2] for part in look.batch)  # a quarter of the batch of 8

    @torch.no_grad()
    def loss(chosen: float) -> float:
        for name, parameter in roles.trained(look.model):
            parameter.copy_(look.old[name] + (new[name] - look.old[name]) * chosen / 1e-3)
        return float(task.loss(look.model.eval()(inputs), targets))

    assert loss(rate) > loss(0.0) >= loss(rate / (1 + SETTINGS["tolerance"]))


def test_parts_of_the_batch_give_the_same_readings(tmp_path: Any) -> None:
    found = []
    for micro_batch in (None, 1):
        look, _ = trained_step(tmp_path)
        look.micro_batch = micro_batch
        rows = [*sharpness.before_update(look), *sharpness.after_update(look)]
        found.append({row["quantity"]: row["value"] for row in rows})
    assert found[0] == pytest.approx(found[1], rel=1e-3)


def test_at_a_rate_of_zero_there_is_nothing_to_follow(tmp_path: Any) -> None:
    look, _ = trained_step(tmp_path)
    look.learning_rate = 0.0
    assert {row["quantity"]: row["value"] for row in sharpness.after_update(look)} == {
        "critical_learning_rate": None,
        "critical_sharpness": None,
    }


class Linear(nn.Module):
    """loss = mean of theta . x over the batch: the gradient of an example is the example."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(size))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs @ self.theta


class MeanLoss:
    """The mean of the outputs, as a task."""

    @staticmethod
    def loss(outputs: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return outputs.mean()


def test_noise_and_signal_are_unbiased_for_examples_of_known_mean_and_variance() -> None:
    draw = torch.Generator().manual_seed(0)
    size, mean, deviation = 40, 0.3, 2.0
    found: dict[str, list[float]] = {"gradient_noise": [], "gradient_signal": []}
    for _ in range(400):
        inputs = mean + deviation * torch.randn(16, size, generator=draw)
        model = Linear(size)
        model(inputs).mean().backward()
        look = _bare_look(model, inputs)
        for row in sharpness.before_update(look):
            if row["quantity"] in found:
                found[row["quantity"]].append(row["value"])
    for quantity, expected in (("gradient_noise", size * deviation**2), ("gradient_signal", size * mean**2)):
        drawn = torch.tensor(found[quantity])
        error = float(drawn.std() / len(drawn) ** 0.5)
        assert abs(float(drawn.mean()) - expected) < 4 * error
        assert error < 0.2 * expected


def _bare_look(model: nn.Module, inputs: torch.Tensor) -> Any:
    from warmup.probes import _capture
    from warmup.probes._look import Look

    watcher = _capture.Watcher(model, [])
    return Look(model, MeanLoss(), [], inputs, 0, 10, (inputs, inputs), watcher, SETTINGS)


def test_the_noise_scale_is_noise_over_signal_and_gradients_stay(tmp_path: Any) -> None:
    task = language_task(tmp_path)
    model = built("gpt2", task)
    inputs, targets = task.batch(0, 0)
    task.loss(model(inputs), targets).backward()
    kept = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    rows = {row["quantity"]: row["value"] for row in sharpness.before_update(
        look_at(model, inputs, SETTINGS, task=task, targets=targets)
    )}  # fmt: skip
    if rows["gradient_signal"] > 0:
        assert rows["gradient_noise_scale"] == pytest.approx(rows["gradient_noise"] / rows["gradient_signal"])
    else:
        assert "gradient_noise_scale" not in rows
    after = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert all(torch.equal(one, other) for one, other in zip(kept, after, strict=True))


def test_a_batch_of_one_has_no_noise_scale_and_says_so(tmp_path: Any) -> None:
    task = language_task(tmp_path, batch_size=1)
    model = built("gpt2", task)
    inputs, targets = task.batch(0, 0)
    task.loss(model(inputs), targets).backward()
    rows = sharpness.before_update(look_at(model, inputs, SETTINGS, task=task, targets=targets))
    assert [row["quantity"] for row in rows] == ["not_probed"]
