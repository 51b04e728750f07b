"""Chunks of another length, or a compiled form of the recurrence, give the same states and gradients."""

import pytest
import torch
from transformers import AutoConfig, AutoModel

from warmup import kernels
from warmup.architectures.small import small_settings
from warmup.kernels import borrowed

OPERATORS = {
    "mamba2": "mamba2_chunk_scan",
    "falcon_h1": "mamba2_chunk_scan",
    "qwen3_next": "torch_chunk_gated_delta_rule",
    "kimi_linear": "chunk_kimi_delta_attention",
}


def states_and_gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    inputs = torch.randn(2, 37, 32, generator=torch.Generator().manual_seed(1))
    model.zero_grad()
    states = model(inputs_embeds=inputs).last_hidden_state
    states.cos().sum().backward()
    gradients = {name: x.grad.clone() for name, x in model.named_parameters() if x.grad is not None}
    return {"states": states.detach(), **gradients}


@pytest.mark.parametrize("model_type", OPERATORS)
def test_what_replaces_a_chunked_recurrence_changes_no_value_and_no_gradient(
    model_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    settings = {**small_settings(model_type, 32, 2), "vocab_size": 20, "use_cache": False, "pad_token_id": None}
    model = AutoModel.from_config(AutoConfig.for_model(model_type, **settings))
    kernels.install("cpu", 1, model_type)
    try:
        (module,) = kernels._modelling_modules(model_type)
        operator = OPERATORS[model_type]
        ours = states_and_gradients(model)
        original = kernels._originals[module.__name__, operator]
        monkeypatch.setattr(module, operator, borrowed.in_torch(original))
        theirs = states_and_gradients(model)
    finally:
        monkeypatch.undo()
        kernels.uninstall()
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        assert (ours[name] - expected).norm() <= 1e-4 * expected.norm() + 1e-5, name
