"""The recurrence of the RG-LRU against transformers' loop, in values and gradients."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.recurrent_gemma.modeling_recurrent_gemma import RecurrentGemmaRglru

from warmup.kernels import linear_recurrence


def loop(unit: Any, *tensors: Any) -> tuple[Tensor, Tensor]:
    return RecurrentGemmaRglru._rnn_scan(unit, *tensors)


fast = linear_recurrence.stand_in(loop)


def values_and_gradients(function: Any, shape: tuple[int, int, int], seed: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(shape, generator=draw, dtype=torch.float64).requires_grad_()
    decay = torch.rand(shape, generator=draw, dtype=torch.float64).requires_grad_()
    reset = torch.zeros(shape[0], shape[1], 1, dtype=torch.bool)
    reset[:, 0] = True
    reset[:, shape[1] // 2] = True
    states, last = function(None, inputs, decay, reset, None, torch.float64)
    (states.cos().sum() + last.sin().sum()).backward()
    return [states.detach(), last.detach(), inputs.grad, decay.grad]


@given(st.integers(1, 3), st.integers(1, 70), st.integers(1, 5), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_values_and_gradients_are_those_of_the_loop(batch: int, length: int, channels: int, seed: int) -> None:
    expected = values_and_gradients(loop, (batch, length, channels), seed)
    for ours, theirs in zip(values_and_gradients(fast, (batch, length, channels), seed), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_gradients_are_those_of_finite_differences() -> None:
    draw = torch.Generator().manual_seed(1)
    leaves = [torch.rand(2, 11, 3, generator=draw, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(linear_recurrence.LinearRecurrence.apply, leaves)


@pytest.mark.parametrize("length", [1, 2, 64])
def test_a_decay_of_nothing_passes_the_inputs_on(length: int) -> None:
    inputs = torch.randn(2, length, 4)
    assert torch.equal(linear_recurrence.scan(torch.zeros_like(inputs), inputs), inputs)


def test_states_from_before_are_left_to_transformers() -> None:
    inputs, decay = torch.randn(2, 5, 3), torch.rand(2, 5, 3)
    reset, before = torch.zeros(2, 5, 1, dtype=torch.bool), torch.randn(2, 3)
    for ours, theirs in zip(
        fast(None, inputs, decay, reset, before), loop(None, inputs, decay, reset, before), strict=True
    ):
        assert torch.equal(ours, theirs)
