"""The compiled selective scan and causal convolution against transformers' own functions."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.mamba import modeling_mamba

from warmup.kernels import causal_convolution, runtime, selective_scan
from warmup.kernels import selective_scan_loops as loops

loop = modeling_mamba.mamba_selective_scan.__wrapped__
torch_convolution = modeling_mamba.causal_conv1d_fn.__wrapped__
scan = selective_scan.stand_in(loop)
convolution = causal_convolution.stand_in(torch_convolution)

TOLERANCE = 1e-5
"""Of float32 results, relative to the largest number of the result."""


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    runtime.set_threads(2)
    yield
    runtime.set_threads(1)


def scan_inputs(
    batch: int, channels: int, length: int, states: int, dtype: torch.dtype = torch.float32, seed: int = 0
) -> dict[str, Tensor]:
    """Inputs as a mixer makes them: some run along channels, some along steps, some are parts of a wider projection."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    projection = normal(batch, length, 2 * states + 3)
    return {
        "hidden_states": normal(batch, length, channels).transpose(1, 2),
        "dt": normal(batch, channels, length),
        "A": -torch.exp(normal(channels, states)),
        "B": projection[..., 3 : 3 + states].transpose(1, 2),
        "C": projection[..., 3 + states :].transpose(1, 2),
        "D": normal(channels),
        "z": normal(batch, length, 2 * channels)[..., channels:].transpose(1, 2),
        "delta_bias": normal(channels),
    }


def values_and_gradients(function: Callable, inputs: dict[str, Tensor], **options: Any) -> dict[str, Tensor]:
    """All outputs, and the gradients of all inputs for a loss that weighs every number of the outputs differently."""
    leaves = {name: x.detach().requires_grad_() for name, x in inputs.items()}
    outputs = function(**leaves, **options)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    weights = [torch.cos(torch.arange(x.numel(), dtype=x.dtype)).reshape(x.shape) for x in outputs]
    sum((x * weight).sum() for x, weight in zip(outputs, weights, strict=True)).backward()  # type: ignore[union-attr]
    results = {f"output {index}": x.detach() for index, x in enumerate(outputs)}
    for name, leaf in leaves.items():
        assert leaf.grad is not None, name
        results[f"gradient of {name}"] = leaf.grad
    return results


def assert_close(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        assert ours[name].shape == expected.shape, name
        assert ours[name].dtype == expected.dtype, name
        error = (ours[name] - expected).abs().max()
        assert error <= TOLERANCE * expected.abs().max() + 1e-30, f"{name}: {error:.2e} of {expected.abs().max():.2e}"


SHAPES = [
    (2, 32, 37, 16),  # odd length
    (1, 5, 1, 16),  # one step, fewer channels than a register
    (3, 33, 100, 7),  # a last register with one channel, few states
    (1, 64, 65, 16),  # batch 1: channels in groups
    (16, 256, 128, 16),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_scan_matches_the_loop_in_values_and_all_gradients(shape: tuple[int, int, int, int]) -> None:
    options = {"delta_softplus": True, "return_last_state": True}
    inputs = scan_inputs(*shape)
    assert_close(values_and_gradients(scan, inputs, **options), values_and_gradients(loop, inputs, **options))


@pytest.mark.parametrize("left_out", [["D"], ["z"], ["delta_bias"], ["D", "z", "delta_bias"]])
def test_scan_matches_the_loop_without_optional_inputs(left_out: list[str]) -> None:
    inputs = {name: x for name, x in scan_inputs(2, 20, 19, 4).items() if name not in left_out}
    assert_close(
        values_and_gradients(scan, inputs, delta_softplus=True), values_and_gradients(loop, inputs, delta_softplus=True)
    )


def test_scan_matches_the_loop_without_softplus() -> None:
    inputs = scan_inputs(2, 20, 19, 4)
    inputs["dt"] = inputs["dt"].abs()
    inputs["delta_bias"] = inputs["delta_bias"].abs()
    assert_close(values_and_gradients(scan, inputs), values_and_gradients(loop, inputs))


@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 50), st.integers(1, 9), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_scan_matches_the_loop_for_any_shape(batch: int, channels: int, length: int, states: int, seed: int) -> None:
    """A number that is a sum of larger ones that cancel may be off by what the rounding of the inputs makes of it."""
    inputs = scan_inputs(batch, channels, length, states, seed=seed)
    options = {"delta_softplus": True, "return_last_state": True}
    found = values_and_gradients(scan, inputs, **options)
    exact = {name: x.double() for name, x in inputs.items()}
    truth = values_and_gradients(loop, exact, **options)
    generator = torch.Generator().manual_seed(seed)
    rounded = [
        {name: x * (1 + 1e-6 * torch.randn(x.shape, generator=generator)) for name, x in exact.items()}
        for _ in range(5)
    ]
    rounding = [values_and_gradients(loop, close, **options) for close in rounded]
    for name, expected in truth.items():
        error = (found[name].double() - expected).abs().max()
        unavoidable = max((other[name] - expected).abs().max() for other in rounding)
        assert error <= TOLERANCE * expected.abs().max() + unavoidable + 1e-30, f"{name}: {error:.2e}"


@pytest.mark.parametrize("softplus", [True, False])
def test_scan_gradients_are_those_of_finite_differences(softplus: bool) -> None:
    inputs = scan_inputs(2, 2, loops.CHUNK + 3, 2, torch.float64)
    if not softplus:  # negative steps would let the states grow without bound
        inputs["dt"], inputs["delta_bias"] = inputs["dt"].abs(), inputs["delta_bias"].abs()
    leaves = [x.detach().requires_grad_() for x in inputs.values()]
    assert torch.autograd.gradcheck(lambda *x: selective_scan.selective_scan(*x, softplus), leaves)


def test_scan_gradients_reach_only_what_asks_for_them() -> None:
    inputs = scan_inputs(2, 8, 12, 4)
    inputs["B"].requires_grad_()
    scan(**inputs, delta_softplus=True).sum().backward()
    assert inputs["B"].grad is not None
    assert all(x.grad is None for name, x in inputs.items() if name != "B")


@pytest.mark.parametrize("threads", [1, 3, 7])
@pytest.mark.parametrize("shape", [(1, 64, 50, 16), (5, 40, 33, 3)])
def test_scan_has_the_same_bits_for_any_number_of_threads(threads: int, shape: tuple[int, int, int, int]) -> None:
    inputs = scan_inputs(*shape)
    expected = values_and_gradients(scan, inputs, delta_softplus=True)
    runtime.set_threads(threads)
    for _ in range(3):
        again = values_and_gradients(scan, inputs, delta_softplus=True)
        assert all(torch.equal(again[name], x) for name, x in expected.items())


def test_scan_keeps_no_state_of_every_step() -> None:
    batch, channels, length, states = 4, 64, 128, 16
    saved = 0

    def count(x: Tensor) -> Tensor:
        nonlocal saved
        saved += x.numel()
        return x

    inputs = {name: x.requires_grad_() for name, x in scan_inputs(batch, channels, length, states).items()}
    with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
        scan(**inputs, delta_softplus=True)
    given = sum(x.numel() for x in inputs.values())
    assert saved <= given + batch * channels * states * length // loops.CHUNK


def test_scan_without_gradients_keeps_nothing() -> None:
    inputs = scan_inputs(2, 16, 20, 4)
    with torch.no_grad():
        assert torch.equal(scan(**inputs), scan(**{name: x.requires_grad_() for name, x in inputs.items()}))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scan_does_not_hide_a_divergence(bad: float) -> None:
    inputs = scan_inputs(2, 20, 30, 4)
    inputs["hidden_states"][1, 3, 7] = bad
    ours, theirs = (function(**inputs, delta_softplus=True) for function in (scan, loop))
    assert torch.equal(ours.isfinite(), theirs.isfinite())
    assert not ours.isfinite().all()


def test_scan_in_half_precision_is_the_rounded_float32_result() -> None:
    inputs = {name: x.to(torch.bfloat16) for name, x in scan_inputs(2, 20, 30, 4).items()}
    inputs["A"] = inputs["A"].float()
    exact = scan(**{name: x.float() for name, x in inputs.items()}, delta_softplus=True)
    assert torch.equal(scan(**inputs, delta_softplus=True), exact.to(torch.bfloat16))


@pytest.mark.parametrize("change", [{"B": Tensor.double}, {"hidden_states": lambda x: x.to("meta")}])
def test_scan_knows_what_it_covers(change: dict[str, Callable[[Tensor], Tensor]]) -> None:
    names = ("hidden_states", "dt", "A", "B", "C", "D", "z", "delta_bias")
    inputs = scan_inputs(2, 8, 5, 4)
    assert selective_scan._covered(*(inputs[name] for name in names))
    changed = {name: change[name](x) if name in change else x for name, x in inputs.items()}
    on_cpu = all(x.device.type == "cpu" for x in changed.values())
    assert selective_scan._covered(*(changed[name] for name in names)) is on_cpu


def test_scan_leaves_what_it_does_not_cover_to_transformers() -> None:
    asked: list[dict[str, Any]] = []

    def reference(*_: Tensor, **options: Any) -> str:
        asked.append(options)
        return "transformers"

    inputs = scan_inputs(2, 8, 5, 4)
    stand_in = selective_scan.stand_in(reference)
    assert stand_in(**inputs, seq_idx=torch.zeros(2, 5)) == "transformers"
    assert stand_in(**{**inputs, "B": inputs["B"][:1]}) == "transformers"
    assert len(asked) == 2
    assert "seq_idx" in asked[0]


CONVOLUTIONS = [(2, 37, 20, 4), (1, 5, 1, 4), (3, 33, 100, 3), (1, 16, 5, 1), (16, 256, 128, 4)]


def convolution_inputs(shape: tuple[int, int, int, int], dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    batch, channels, length, taps = shape
    generator = torch.Generator().manual_seed(1)
    return {
        "hidden_states": torch.randn(batch, length, channels, generator=generator, dtype=dtype).transpose(1, 2),
        "weight": torch.randn(channels, taps, generator=generator, dtype=dtype),
        "bias": torch.randn(channels, generator=generator, dtype=dtype),
    }


@pytest.mark.parametrize("shape", CONVOLUTIONS)
@pytest.mark.parametrize("activation", ["silu", None])
def test_convolution_matches_pytorch_in_values_and_all_gradients(
    shape: tuple[int, int, int, int], activation: str | None
) -> None:
    # In float64, and the kernel's float32 against it: PyTorch's own float32 sums are the less exact of the two.
    exact = values_and_gradients(torch_convolution, convolution_inputs(shape, torch.float64), activation=activation)
    ours = values_and_gradients(
        convolution, {k: x.float() for k, x in convolution_inputs(shape, torch.float64).items()}, activation=activation
    )
    scale = {"gradient of bias": shape[0] * shape[2], "gradient of weight": shape[0] * shape[2]}
    for name, expected in exact.items():
        allowed = TOLERANCE * max(expected.abs().max().item(), scale.get(name, 0) ** 0.5)
        assert (ours[name] - expected).abs().max() <= allowed, name


def test_convolution_gradients_are_those_of_finite_differences() -> None:
    inputs = [x.detach().requires_grad_() for x in convolution_inputs((2, 3, 7, 4), torch.float64).values()]
    assert torch.autograd.gradcheck(lambda *x: convolution(*x, activation="silu"), inputs)
    assert torch.autograd.gradcheck(lambda x, weight: convolution(x, weight), inputs[:2])


def test_convolution_has_the_same_bits_for_any_number_of_threads() -> None:
    inputs = convolution_inputs((3, 70, 33, 4))
    expected = values_and_gradients(convolution, inputs, activation="silu")
    for threads in (1, 5):
        runtime.set_threads(threads)
        again = values_and_gradients(convolution, inputs, activation="silu")
        assert all(torch.equal(again[name], x) for name, x in expected.items())


def test_convolution_leaves_other_activations_to_transformers() -> None:
    inputs = convolution_inputs((2, 5, 6, 4))
    assert torch.equal(convolution(**inputs, activation="gelu"), torch_convolution(**inputs, activation="gelu"))
