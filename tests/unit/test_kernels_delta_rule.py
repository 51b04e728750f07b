"""The compiled delta rule with a decay of each channel against transformers' own chunks and a recurrence in float64."""

from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from transformers.models.kimi_linear import modeling_kimi_linear

from warmup.kernels import borrowed, delta_rule, delta_rule_loops, runtime

chunks = borrowed.in_torch(modeling_kimi_linear.chunk_kimi_delta_attention)
compiled = delta_rule.stand_in(chunks)

TOLERANCE = 2e-5
"""Of float32 results, relative to the largest number of the result: transformers adds up in another order."""

SHAPES = [
    (2, 37, 3, 8, 8),
    (1, 1, 1, 4, 5),
    (2, 70, 2, 33, 20),
    (4, 40, 4, 32, 32),
    (1, delta_rule_loops.CHUNK, 2, 3, 16),
]
"""Examples, positions, heads, channels of a key and of a value."""


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    runtime.set_threads(2)
    yield
    runtime.set_threads(1)


def inputs(
    batch: int, length: int, heads: int, keys: int, values: int, dtype: torch.dtype = torch.float32, seed: int = 0
) -> list[Tensor]:
    """Query, key, value, logarithm of the decay (from hardly any to e^-10) and write strength; values are a slice."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    vectors = [normal(batch, length, heads, size) for size in (keys, keys, 2 * values)]
    decay = -functional.softplus(3 * normal(batch, length, heads, keys))
    return [*vectors[:2], vectors[2][..., :values], decay, torch.sigmoid(normal(batch, length, heads))]


def recurrence(
    query: Tensor, key: Tensor, value: Tensor, g: Tensor, beta: Tensor, *, use_qk_l2norm_in_kernel: bool
) -> tuple[Tensor, None]:
    """The state carried from position to position as the paper writes it (Kimi Team 2510.26692, section 3)."""
    assert use_qk_l2norm_in_kernel
    query, key = (x / torch.sqrt((x * x).sum(-1, keepdim=True) + 1e-6) for x in (query, key))
    state = torch.zeros(*key.shape[:1], *key.shape[2:], value.shape[-1], dtype=key.dtype)
    answers = []
    for position in range(key.shape[1]):
        asked, now, decay = (x[:, position] for x in (query, key, g.exp()))
        strength = beta[:, position, :, None, None]
        write = torch.eye(key.shape[-1], dtype=key.dtype) - strength * now[..., :, None] * now[..., None, :]
        content = now[..., :, None] * value[:, position, :, None, :]
        state = write @ (decay[..., None] * state) + strength * content
        answers.append((asked[..., None, :] @ state)[..., 0, :] / key.shape[-1] ** 0.5)
    return torch.stack(answers, dim=1), None


def values_and_gradients(function: Callable, tensors: list[Tensor]) -> list[Tensor]:
    leaves = [x.detach().requires_grad_() for x in tensors]
    query, key, value, decay, strength = leaves
    out, state = function(query, key, value, g=decay, beta=strength, use_qk_l2norm_in_kernel=True)
    assert state is None
    (out * torch.cos(torch.arange(out.numel(), dtype=out.dtype)).reshape(out.shape)).sum().backward()
    found = [x.grad for x in leaves if x.grad is not None]
    assert len(found) == len(leaves)
    return [out.detach(), *found]


def assert_close(ours: list[Tensor], theirs: list[Tensor], tolerance: float = TOLERANCE) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert (a - b).abs().max() <= tolerance * max(b.abs().max().item(), 1e-2)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_delta_rule_matches_transformers_in_values_and_all_gradients(shape: tuple[int, ...]) -> None:
    assert_close(values_and_gradients(compiled, inputs(*shape)), values_and_gradients(chunks, inputs(*shape)))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_delta_rule_is_the_recurrence_of_its_paper_in_float64(shape: tuple[int, ...]) -> None:
    tensors = inputs(*shape, dtype=torch.float64)
    assert_close(values_and_gradients(compiled, tensors), values_and_gradients(recurrence, tensors), 1e-12)


@given(st.tuples(*(st.integers(1, most) for most in (2, 40, 2, 20, 20))))
@settings(max_examples=25, deadline=None)
def test_the_delta_rule_is_the_recurrence_for_any_shape(shape: tuple[int, ...]) -> None:
    tensors = inputs(*shape, dtype=torch.float64)
    assert_close(values_and_gradients(compiled, tensors), values_and_gradients(recurrence, tensors), 1e-12)


def test_a_decay_that_forgets_everything_is_no_division_by_zero() -> None:
    tensors = inputs(1, 40, 2, 4, 4)
    tensors[3] = torch.full_like(tensors[3], -1e4)
    ours = values_and_gradients(compiled, tensors)
    assert all(x.isfinite().all() for x in ours)
    assert_close(ours, values_and_gradients(recurrence, tensors))


def test_half_precision_is_computed_in_float32_and_rounded_once() -> None:
    tensors = [x.bfloat16() for x in inputs(2, 20, 2, 8, 8)]
    options = {"use_qk_l2norm_in_kernel": True}
    exact, _ = compiled(*(x.float() for x in tensors), **options)
    rounded, _ = compiled(*tensors, **options)
    assert torch.equal(rounded, exact.bfloat16())


def test_the_delta_rule_does_not_hide_a_divergence() -> None:
    tensors = inputs(2, 40, 2, 8, 20)
    tensors[2][1, 10, 1, 3] = float("nan")
    found, _ = compiled(*tensors)
    spoilt = torch.zeros_like(found, dtype=torch.bool)
    spoilt[1, 10:, 1, 3] = True  # a value channel has a recurrence of its own
    assert torch.equal(found.isnan(), spoilt)


def test_a_sequence_in_two_parts_is_left_to_transformers_and_equals_the_whole() -> None:
    tensors = inputs(2, 50, 2, 8, 8)
    whole, _ = compiled(*tensors)
    head, state = compiled(*(x[:, :23] for x in tensors), output_final_state=True)
    tail, _ = compiled(*(x[:, 23:] for x in tensors), initial_state=state)
    assert_close([torch.cat([head, tail], dim=1)], [whole])


def test_the_delta_rule_has_the_same_bits_for_any_number_of_threads() -> None:
    tensors = inputs(3, 50, 3, 9, 37)
    expected = values_and_gradients(compiled, tensors)
    for threads in (1, 3, 8):
        runtime.set_threads(threads)
        again = values_and_gradients(compiled, tensors)
        assert all(torch.equal(a, b) for a, b in zip(again, expected, strict=True))
