"""Models and training steps of the benchmark: batch 16, length 128, width 128, 4 layers, a vocabulary of bytes."""

from collections.abc import Callable
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

BATCH, LENGTH, WIDTH, LAYERS, VOCABULARY = 16, 128, 128, 4, 256

OPTIONS: dict[str, dict[str, Any]] = {
    "mamba": {},
    "jamba": {
        "intermediate_size": 2 * WIDTH,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "attn_layer_period": 4,
        "attn_layer_offset": 2,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "num_experts": 4,
        "num_experts_per_tok": 2,
    },
    "rwkv": {"context_length": LENGTH},
    "gpt2": {"n_head": 4, "n_positions": LENGTH, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
}


def build(model_type: str, **more: Any) -> torch.nn.Module:
    """A model of transformers, the same weights at every call."""
    logging.set_verbosity_error()
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "use_cache": False}
    config = AutoConfig.for_model(model_type, **sizes, **OPTIONS[model_type], **more)
    for token in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(config, token, 0)
    return AutoModelForCausalLM.from_config(config).train()


def tokens(step: int = 0) -> torch.Tensor:
    """A batch, a function of the step."""
    return torch.randint(0, VOCABULARY, (BATCH, LENGTH), generator=torch.Generator().manual_seed(step))


def training_step(model: torch.nn.Module) -> Callable[[], None]:
    """Forward, backward and AdamW, as a function without arguments."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    batch = tokens()

    def step() -> None:
        optimizer.zero_grad()
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()

    return step
