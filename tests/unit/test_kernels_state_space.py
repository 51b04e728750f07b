"""Mamba-2's state space by the compiled scan against transformers' own chunks and a recurrence in float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.mamba2 import modeling_mamba2

from warmup.kernels import borrowed, state_space

chunks = borrowed.in_torch(modeling_mamba2.mamba2_chunk_scan)
compiled = state_space.stand_in(chunks)

OPTIONS = {"chunk_size": 16, "dt_softplus": True, "dt_limit": (0.01, 2.0)}

SHAPES = [(2, 37, 3, 8, 5, 1), (1, 1, 1, 3, 4, 1), (2, 20, 4, 6, 8, 2), (2, 33, 2, 16, 40, 1)]
"""Examples, positions, heads, channels of a head, states, groups."""


def inputs(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """x, dt, A, B, C, D and dt_bias."""
    batch, length, heads, size, states, groups = shape
    draws = torch.Generator().manual_seed(0)
    shapes = [
        *((batch, length, heads, size), (batch, length, heads), (heads,)),
        *((batch, length, groups, states), (batch, length, groups, states), (heads,), (heads,)),
    ]
    tensors = [torch.randn(*shape, generator=draws, dtype=dtype) for shape in shapes]
    tensors[2] = -tensors[2].exp()
    return tensors


def recurrence(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt_bias: Tensor) -> Tensor:
    """The state carried from position to position as the paper writes it (Dao 2405.21060, section 5)."""
    delta = functional.softplus(dt + dt_bias).clamp(*OPTIONS["dt_limit"])
    B, C = (y.repeat_interleave(x.shape[2] // B.shape[2], dim=2) for y in (B, C))
    state = torch.zeros(*x.shape[:1], *x.shape[2:], B.shape[-1], dtype=x.dtype)
    outputs = []
    for position in range(x.shape[1]):
        content = x[:, position, :, :, None] * B[:, position, :, None, :]
        step = delta[:, position, :, None, None]
        state = torch.exp(step * A[:, None, None]) * state + step * content
        outputs.append((state * C[:, position, :, None, :]).sum(-1) + D[:, None] * x[:, position])
    return torch.stack(outputs, dim=1)


def by(function: Callable) -> Callable:
    return lambda *tensors: function(*tensors[:5], D=tensors[5], dt_bias=tensors[6], **OPTIONS)


def values_and_gradients(function: Callable, tensors: list[Tensor]) -> list[Tensor]:
    leaves = [x.detach().requires_grad_() for x in tensors]
    out = function(*leaves)
    (out * torch.cos(torch.arange(out.numel(), dtype=out.dtype)).reshape(out.shape)).sum().backward()
    found = [x.grad for x in leaves if x.grad is not None]
    assert len(found) == len(leaves)
    return [out.detach(), *found]


def assert_close(ours: list[Tensor], theirs: list[Tensor], tolerance: float) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert (a - b).abs().max() <= tolerance * max(b.abs().max().item(), 1e-2)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_state_space_matches_transformers_in_values_and_all_gradients(shape: tuple[int, ...]) -> None:
    ours, theirs = (values_and_gradients(by(function), inputs(shape)) for function in (compiled, chunks))
    assert_close(ours, theirs, 1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_state_space_is_the_recurrence_of_its_paper_in_float64(shape: tuple[int, ...]) -> None:
    tensors = inputs(shape, torch.float64)
    assert_close(values_and_gradients(by(compiled), tensors), values_and_gradients(recurrence, tensors), 1e-12)


def test_a_sequence_in_two_parts_is_left_to_transformers_and_equals_the_whole() -> None:
    x, dt, A, B, C, *_ = inputs((2, 40, 3, 8, 5, 1))
    whole = compiled(x, dt, A, B, C, **OPTIONS)
    parts = [[y[:, now] for y in (x, dt, B, C)] for now in (slice(23), slice(23, None))]
    (x, dt, B, C), (more, following, onwards, outwards) = parts
    head, state = compiled(x, dt, A, B, C, return_final_states=True, **OPTIONS)
    tail = compiled(more, following, A, onwards, outwards, initial_states=state, **OPTIONS)
    assert_close([torch.cat([head, tail], dim=1)], [whole], 1e-5)
