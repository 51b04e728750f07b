"""Models on the card against the same weights on the CPU. Written without a card; never run."""

import copy
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel

from warmup import kernels
from warmup.kernels import cuda

SIZES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 1024},
    "mamba": {"hidden_size": 64, "num_hidden_layers": 2},
    "jamba": {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 2, "attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 4,
    },
    "rwkv": {"hidden_size": 64, "attention_hidden_size": 64, "num_hidden_layers": 2, "context_length": 1024},
}  # fmt: skip


def states_and_gradients(model: Any, inputs: torch.Tensor, precision: str, device: str) -> list[torch.Tensor]:
    model.zero_grad()
    with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        states = model(inputs_embeds=inputs.to(device)).last_hidden_state.float()
    if model.training:
        states.square().mean().backward()
    gradients = [p.grad.float().cpu() for p in model.parameters() if p.grad is not None]
    return [states.detach().cpu(), *gradients]


@pytest.mark.parametrize("length", [64, 96, 1024])
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("model_type", SIZES)
def test_states_and_gradients_are_those_of_a_cpu(model_type: str, precision: str, mode: str, length: int) -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, vocab_size=1, use_cache=False, **SIZES[model_type])
    for token in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(config, token, None)
    here = getattr(AutoModel.from_config(config), mode)()
    there = copy.deepcopy(here).cuda()
    inputs = torch.randn(2, length, 64)
    kernels.install("cpu", 1, model_type)
    expected = states_and_gradients(here, inputs, "float32", "cpu")
    kernels.uninstall()
    kernels.install("cuda", 1, model_type)
    found = states_and_gradients(there, inputs, precision, "cuda")
    kernels.uninstall()
    assert len(found) == len(expected)
    tolerance = 1e-3 if precision == "float32" else 6e-2
    for right, ours in zip(expected, found, strict=True):
        assert float((right - ours).norm()) <= tolerance * float(right.norm()) + 1e-6


def test_wkv_takes_large_keys_and_hands_nan_on() -> None:
    w, u = torch.zeros(2, 32, device="cuda").unbind(0)
    key, value = 100 * torch.randn(2, 64, 32, device="cuda"), torch.randn(2, 64, 32, device="cuda")
    out, _ = cuda.wkv(w, u, key, value)
    assert torch.isfinite(out).all()
    key[0, 10, 3] = float("nan")
    out, _ = cuda.wkv(w, u, key, value)
    assert out[0, 10:, 3].isnan().all() and torch.isfinite(out[1]).all()
