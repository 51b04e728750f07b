"""RWKV-4's compiled WKV and token mixing against transformers' own functions, on CPU and under Triton's interpreter."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.rwkv import modeling_rwkv

from warmup import kernels
from warmup.kernels import runtime, wkv, wkv_loops

loop = modeling_rwkv.rwkv_linear_attention_cpu
compiled = wkv.stand_in(loop)

TOLERANCE = 1e-5
"""Of float32 results, relative to the largest number of the result."""


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    runtime.set_threads(2)
    yield
    runtime.set_threads(1)


def inputs(batch: int, length: int, channels: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> list[Tensor]:
    """time_decay, time_first, key, value; key and value as slices of a wider projection."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    wide = normal(batch, length, 2 * channels)
    return [normal(channels), normal(channels), 3 * wide[..., :channels], wide[..., channels:]]


def values_and_gradients(function: Callable, tensors: list[Tensor]) -> list[Tensor]:
    leaves = [x.detach().requires_grad_() for x in tensors]
    out, state = function(*leaves)
    assert state is None
    (out * torch.cos(torch.arange(out.numel(), dtype=out.dtype)).reshape(out.shape)).sum().backward()
    return [out.detach(), *(torch.zeros_like(x) if x.grad is None else x.grad for x in leaves)]


def assert_close(ours: list[Tensor], theirs: list[Tensor]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        # A gradient that is zero in exact arithmetic (one step: the weights of the past do not matter) is rounding.
        assert (a - b).abs().max() <= TOLERANCE * max(b.abs().max().item(), 1e-2)


@pytest.mark.parametrize("shape", [(2, 37, 32), (1, 1, 5), (3, 100, 33), (16, 128, 128), (1, wkv_loops.CHUNK + 1, 16)])
def test_wkv_matches_the_loop_in_values_and_all_gradients(shape: tuple[int, int, int]) -> None:
    assert_close(values_and_gradients(compiled, inputs(*shape)), values_and_gradients(loop, inputs(*shape)))


@given(st.integers(1, 3), st.integers(1, 70), st.integers(1, 40), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_wkv_matches_the_loop_for_any_shape(batch: int, length: int, channels: int, seed: int) -> None:
    tensors = inputs(batch, length, channels, seed=seed)
    assert_close(values_and_gradients(compiled, tensors), values_and_gradients(loop, tensors))


def test_wkv_gradients_are_those_of_finite_differences() -> None:
    leaves = [x.detach().requires_grad_() for x in inputs(2, wkv_loops.CHUNK + 4, 3, torch.float64)]
    assert torch.autograd.gradcheck(lambda *x: wkv.wkv(*x)[0], leaves)


def test_wkv_does_not_overflow_where_keys_are_large() -> None:
    tensors = inputs(2, 40, 8)
    tensors[2] = tensors[2] * 100  # exp(300) is infinite in float32
    assert_close(values_and_gradients(compiled, tensors), values_and_gradients(loop, tensors))


def test_wkv_does_not_hide_a_divergence() -> None:
    tensors = inputs(2, 40, 20)
    tensors[2][1, 10, 3] = float("nan")
    assert torch.equal(compiled(*tensors)[0].isnan(), loop(*tensors)[0].isnan())


def test_a_sequence_in_two_parts_equals_the_whole() -> None:
    decay, first, key, value = inputs(2, 50, 20)
    whole, _ = compiled(decay, first, key, value)
    head, state = compiled(decay, first, key[:, :23], value[:, :23], return_state=True)
    tail, after = compiled(decay, first, key[:, 23:], value[:, 23:], state=state)
    assert torch.allclose(torch.cat([head, tail], dim=1), whole, rtol=1e-6, atol=1e-7)
    expected = loop(decay, first, key, value, return_state=True)[1]
    assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(after, expected, strict=True))


def test_gradients_through_a_state_are_left_to_transformers() -> None:
    tensors = [x.detach().requires_grad_() for x in inputs(2, 6, 4)]
    _, state = compiled(*tensors, return_state=True)
    assert state[0].requires_grad


def test_wkv_has_the_same_bits_for_any_number_of_threads() -> None:
    tensors = inputs(3, 50, 70)
    expected = values_and_gradients(compiled, tensors)
    for threads in (1, 3, 8):
        runtime.set_threads(threads)
        again = values_and_gradients(compiled, tensors)
        assert all(torch.equal(a, b) for a, b in zip(again, expected, strict=True))


INTERPRETED = """
import torch
from transformers.models.rwkv import modeling_rwkv
from warmup.kernels import cuda

generator = torch.Generator().manual_seed(0)
shapes = [(40,), (40,), (2, 9, 40), (2, 9, 40)]
results = []
for function in (cuda.wkv, lambda *x: modeling_rwkv.rwkv_linear_attention_cpu(*x, return_state=True)):
    generator.manual_seed(0)
    leaves = [torch.randn(*shape, generator=generator).requires_grad_() for shape in shapes]
    out, state = function(*leaves)
    out.cos().sum().backward()
    results.append([out, *state, *(leaf.grad for leaf in leaves)])
for ours, theirs in zip(*results, strict=True):
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max(), (ours - theirs).abs().max()

# In two parts, the second from the state of the first, and in half precision.
decay, first, key, value = (x.detach() for x in leaves)
head, state = cuda.wkv(decay, first, key[:, :4], value[:, :4])
tail, _ = cuda.wkv(decay, first, key[:, 4:], value[:, 4:], state)
assert torch.allclose(torch.cat([head, tail], dim=1), out, rtol=1e-5, atol=1e-6)
half, _ = cuda.wkv(decay, first, key.bfloat16(), value.bfloat16())
exact, _ = cuda.wkv(decay, first, key.bfloat16().float(), value.bfloat16().float())
assert torch.equal(half, exact.bfloat16())
print("parity")
"""


def test_the_operator_for_gpus_matches_the_loop_under_the_triton_interpreter() -> None:
    packages = Path(sys.prefix, "triton")  # in no other process's way: make env leaves these out, make test does not
    assert packages.is_dir(), f"{packages} is missing: run make .venv/triton/.complete"
    places = [str(Path(kernels.__file__).parents[2]), str(packages)]
    environment = dict(os.environ, TRITON_INTERPRET="1", OMP_NUM_THREADS="1", PYTHONPATH=os.pathsep.join(places))
    result = subprocess.run(
        [sys.executable, "-c", INTERPRETED], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "parity" in result.stdout
