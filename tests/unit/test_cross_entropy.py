"""The loss of a linear head in parts: the function that it is when all logits are there at once."""

import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor

from warmup.tasks._cross_entropy import linear_cross_entropies, linear_cross_entropy

WIDTH = 16


def example(positions: int, vocabulary: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    draws = torch.Generator().manual_seed(positions * 1000 + vocabulary)
    states = torch.randn(positions, WIDTH, generator=draws, dtype=dtype, requires_grad=True)
    weight = torch.randn(vocabulary, WIDTH, generator=draws, dtype=dtype).requires_grad_()
    return states, weight, torch.randint(0, vocabulary, (positions,), generator=draws)


def whole(states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(functional.linear(states, weight).float(), targets)


@given(some.integers(2, 40), some.integers(2, 200), some.integers(1, 1000))
@settings(max_examples=40, deadline=None)
def test_in_parts_loss_and_gradients_are_those_of_all_logits_within_a_millionth(
    positions: int, vocabulary: int, largest: int
) -> None:
    states, weight, targets = example(positions, vocabulary)
    expected, found = whole(states, weight, targets), linear_cross_entropy(states, weight, targets, largest)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    gradients = torch.autograd.grad(expected, (states, weight)), torch.autograd.grad(found, (states, weight))
    for right, ours in zip(*gradients, strict=True):
        assert float((right - ours).abs().max()) <= 1e-6 * float(right.abs().max())


def test_where_all_logits_fit_the_bits_are_those_of_all_logits() -> None:
    states, weight, targets = example(30, 50)
    assert torch.equal(linear_cross_entropy(states, weight, targets), whole(states, weight, targets))


def test_in_parts_the_bits_are_the_same_each_time() -> None:
    def once() -> tuple[Tensor, ...]:
        states, weight, targets = example(64, 101)
        loss = linear_cross_entropy(states, weight, targets, 1000)
        return loss, *torch.autograd.grad(loss, (states, weight))

    assert all(torch.equal(first, second) for first, second in zip(once(), once(), strict=True))


@pytest.mark.parametrize("largest", [10**6, 1000])
@pytest.mark.parametrize("arithmetic", [torch.float32, torch.bfloat16])
def test_losses_of_positions_leave_the_mean_its_bits(largest: int, arithmetic: torch.dtype) -> None:
    states, weight, targets = example(64, 101)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=arithmetic == torch.bfloat16), torch.no_grad():
        expected = linear_cross_entropy(states, weight, targets, largest)
        loss, each = linear_cross_entropies(states.view(8, 8, WIDTH), weight, targets.view(8, 8), largest)
        alone = linear_cross_entropy(states[13:14], weight, targets[13:14])
    assert torch.equal(loss, expected)
    assert each.shape == (8, 8) and each.dtype == torch.float32
    assert float(each.mean()) == pytest.approx(float(loss), rel=1e-6)
    assert float(each[1, 5]) == pytest.approx(float(alone), rel=1e-5)


def test_rows_that_align_the_vocabulary_are_no_choice_and_get_no_gradient() -> None:
    states, weight, targets = example(40, 65)  # 63 rows are added
    with torch.no_grad():
        weight -= 100.0 * states.mean(0)  # a row of zeros would win
    loss = linear_cross_entropy(states, weight, targets, 300)
    assert float(loss.detach()) == pytest.approx(float(whole(states, weight, targets).detach()), rel=1e-6)
    (gradient,) = torch.autograd.grad(loss, weight)
    assert gradient.shape == weight.shape and float(gradient.sum(0).abs().max()) < 1e-4


def test_under_autocast_the_loss_stays_in_float32_and_as_near_as_with_all_logits() -> None:
    states, weight, targets = example(200, 97)
    exact = whole(states.double(), weight.double(), targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = linear_cross_entropy(states, weight, targets, 1000)
        usual = whole(states, weight, targets)
    assert found.dtype == torch.float32
    assert float((found - exact).abs()) <= 2 * float((usual - exact).abs()) + 1e-4
    (gradient,) = torch.autograd.grad(found, weight)
    assert gradient.dtype == torch.float32


def test_a_state_that_is_not_finite_makes_the_loss_not_finite() -> None:
    states, weight, targets = example(40, 30)
    for value in (float("nan"), float("inf")):
        with torch.no_grad():
            states[7, 3] = value
        assert not torch.isfinite(linear_cross_entropy(states, weight, targets, 200))


@pytest.mark.parametrize("trained", ["states", "weight", "neither"])
def test_only_what_is_trained_gets_a_gradient(trained: str) -> None:
    states, weight, targets = example(40, 30)
    states.requires_grad_(trained == "states")
    weight.requires_grad_(trained == "weight")
    loss = linear_cross_entropy(states, weight, targets, 200)
    assert loss.requires_grad == (trained != "neither")
    if loss.requires_grad:
        (3.0 * loss).backward()
        tensor = states if trained == "states" else weight
        (expected,) = torch.autograd.grad(3.0 * whole(states, weight, targets), tensor)
        assert tensor.grad is not None and torch.allclose(tensor.grad, expected, rtol=1e-5, atol=1e-7)
