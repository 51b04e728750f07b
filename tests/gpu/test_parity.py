"""Models on the card against the same weights on the CPU, by transformers' own lines. Written without a card; never run
on one."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel

from warmup import kernels
from warmup.architectures import model as models
from warmup.kernels import cuda

WIDTH, LARGEST = 64, 1024
SIZES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": WIDTH, "n_layer": 2, "n_head": 4, "n_positions": LARGEST},
    "llama": {
        "hidden_size": WIDTH, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": LARGEST,
    },
    "mamba": {"hidden_size": WIDTH, "num_hidden_layers": 2},
    "falcon_mamba": {"hidden_size": WIDTH, "num_hidden_layers": 2},
    "jamba": {
        "hidden_size": WIDTH, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 2, "attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 4,
    },
    "rwkv": {"hidden_size": WIDTH, "attention_hidden_size": WIDTH, "num_hidden_layers": 2, "context_length": LARGEST},
}  # fmt: skip
PIXELS: dict[str, dict[str, Any]] = {
    "vit": {
        "hidden_size": WIDTH, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "image_size": 32, "patch_size": 4,
    },
    "swin": {
        "embed_dim": 32, "depths": [2, 2], "num_heads": [2, 4], "image_size": 32, "patch_size": 2, "window_size": 4,
    },
}  # fmt: skip
RECURRENT = ("mamba", "falcon_mamba", "rwkv")
"""Models in which a state, and so a NaN, is handed from each position to all later ones, and to no earlier one."""

TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1}
"""Largest distance of a tensor from the CPU's, relative to the norm of the latter."""

NEXT_TO_NOTHING = 1e-2
"""The same tolerance times this for a tensor that ought to be zero (biases of keys), relative to the largest norm."""


def built(model_type: str, mode: str, seed: int = 0) -> Any:
    """A small backbone with the attention that a training gives it, every dropout at zero."""
    torch.manual_seed(seed)
    sizes = {**SIZES, **PIXELS}[model_type]
    config = AutoConfig.for_model(
        model_type, use_cache=False, **({} if model_type in PIXELS else {"vocab_size": 1}), **sizes
    )
    for key, value in config.to_dict().items():
        if "drop" in key and isinstance(value, float):
            setattr(config, key, 0.0)
    for token in ("bos_token_id", "eos_token_id", "pad_token_id"):
        object.__setattr__(config, token, None)
    return getattr(AutoModel.from_config(config, attn_implementation=models.attention(config)), mode)()


def states_and_gradients(model: Any, inputs: Tensor, precision: str) -> list[Tensor]:
    """The last states and, of a model that trains, every gradient of a weighted sum of them; float32, on the CPU.

    (Weights are random: the squares of normalised states add up to a constant, which has no gradient.)
    """
    model.zero_grad()
    device = next(model.parameters()).device
    name = "pixel_values" if model.config.model_type in PIXELS else "inputs_embeds"
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        states = model(**{name: inputs.to(device)}).last_hidden_state.float()
    if model.training:
        weights = torch.randn(states.shape, generator=torch.Generator().manual_seed(0)).to(device)
        (states * weights).mean((0, 1)).sum().backward()
    gradients = [p.grad.float().cpu() for p in model.parameters() if p.grad is not None]
    return [states.detach().cpu(), *gradients]


@pytest.fixture
def both(device: str) -> Callable[[Any, Tensor, str], tuple[list[Tensor], list[Tensor]]]:
    """Function (model, inputs, precision) -> (on the CPU in float32 by transformers' lines, on the device)."""
    torch.backends.cuda.matmul.allow_tf32 = False

    def compared(here: Any, inputs: Tensor, precision: str) -> tuple[list[Tensor], list[Tensor]]:
        model_type = here.config.model_type
        there = copy.deepcopy(here).to(device)
        kernels.install("cpu", 1, model_type)  # what packages for GPUs would do on a CPU is given back to PyTorch
        expected = states_and_gradients(here, inputs, "float32")
        kernels.uninstall()
        kernels.install(device, 1, model_type)
        found = states_and_gradients(there, inputs, precision)
        kernels.uninstall()
        return expected, found

    return compared


def assert_close(expected: list[Tensor], found: list[Tensor], precision: str) -> None:
    assert len(found) == len(expected)
    largest = max(float(right.norm()) for right in expected[-1:] + expected[1:])
    for place, (right, ours) in enumerate(zip(expected, found, strict=True)):
        slack = NEXT_TO_NOTHING * largest if place else 0.0
        assert float((right - ours).norm()) <= TOLERANCE[precision] * (float(right.norm()) + slack)


precisions = pytest.mark.parametrize("precision", ["float32", "bfloat16"])
modes = pytest.mark.parametrize("mode", ["train", "eval"])


@pytest.mark.parametrize("length", [64, 96, LARGEST])
@modes
@precisions
@pytest.mark.parametrize("model_type", SIZES)
def test_states_and_gradients_are_those_of_a_cpu(
    model_type: str, precision: str, mode: str, length: int, both: Callable[..., Any]
) -> None:
    assert_close(*both(built(model_type, mode), torch.randn(2, length, WIDTH), precision), precision)


@modes
@precisions
@pytest.mark.parametrize("model_type", PIXELS)
def test_states_and_gradients_of_pictures_are_those_of_a_cpu(
    model_type: str, precision: str, mode: str, both: Callable[..., Any]
) -> None:
    assert_close(*both(built(model_type, mode), torch.randn(2, 3, 32, 32), precision), precision)


@precisions
@pytest.mark.parametrize("model_type", SIZES)
def test_a_nan_stays_in_its_example_and_goes_on_to_later_positions(
    model_type: str, precision: str, both: Callable[..., Any]
) -> None:
    inputs = torch.randn(2, 96, WIDTH)
    inputs[0, 40, 3] = float("nan")
    expected, found = (outcome[0].isnan().any(-1) for outcome in both(built(model_type, "eval"), inputs, precision))
    assert bool(found[0, 40:].all()) and not bool(found[1].any())
    if model_type in RECURRENT:  # flash attention multiplies hidden values by 0, and so may spread a NaN in its block
        assert torch.equal(expected, found)


@precisions
@pytest.mark.parametrize("model_type", ["gpt2", "llama", "jamba", "rwkv"])
def test_large_keys_are_taken_as_a_cpu_takes_them(model_type: str, precision: str, both: Callable[..., Any]) -> None:
    model = built(model_type, "eval")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("c_attn.weight", "q_proj.weight", "k_proj.weight", "attention.key.weight")):
                parameter.mul_(30.0)
    expected, found = (outcome[0] for outcome in both(model, torch.randn(2, 96, WIDTH), precision))
    assert bool(torch.isfinite(expected).all()) and bool(torch.isfinite(found).all())
    if precision == "float32":  # nearly all weight on one key: bfloat16 may choose another
        assert_close([expected], [found], precision)


def wkv(device: str, *tensors: Tensor) -> Tensor:
    """WKV as a training on the device computes it."""
    if device == "cuda":
        return cuda.wkv(*tensors)[0]
    from transformers.models.rwkv import modeling_rwkv

    kernels.install("cpu", 1, "rwkv")
    out: Tensor = modeling_rwkv.rwkv_linear_attention_cpu(*tensors)[0]
    kernels.uninstall()
    return out


def test_wkv_takes_large_keys_and_hands_nan_on(device: str) -> None:
    decay, first = torch.zeros(2, 32, device=device).unbind(0)
    key, value = 100 * torch.randn(2, 64, 32, device=device), torch.randn(2, 64, 32, device=device)
    assert bool(torch.isfinite(wkv(device, decay, first, key, value)).all())
    key[0, 10, 3] = float("nan")
    out = wkv(device, decay, first, key, value)
    assert bool(out[0, 10:, 3].isnan().all()) and bool(torch.isfinite(out[1]).all())
