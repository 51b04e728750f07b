"""Small models, a task on real text, and looks at them, for the tests of probes and interventions."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from warmup import registry
from warmup.architectures import layers, model
from warmup.architectures.small import small_settings
from warmup.config.configuration import complete, schema
from warmup.probes import _capture
from warmup.probes._look import Look

SIZES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "llama": {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
    "jamba": {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 2, "attn_layer_period": 4, "attn_layer_offset": 2, "expert_layer_period": 2,
        "expert_layer_offset": 1, "num_experts": 4, "num_experts_per_tok": 2, "mamba_d_state": 4,
    },
    "mamba2": {
        "hidden_size": 32, "num_hidden_layers": 2, "num_heads": 4, "head_dim": 16, "state_size": 8, "n_groups": 2,
        "chunk_size": 8,
    },
    "qwen3_next": {
        "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 16, "layer_types": ["linear_attention", "full_attention"],
        "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
        "num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16,
    },
    "kimi_linear": small_settings("kimi_linear", 32, 2),
    "falcon_h1": small_settings("falcon_h1", 32, 2),
    "recurrent_gemma": small_settings("recurrent_gemma", 32, 2),
    "rwkv": {"hidden_size": 32, "attention_hidden_size": 32, "num_hidden_layers": 2, "context_length": 64},
    "vit": {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "image_size": 28, "patch_size": 7, "num_channels": 1,
    },
    "swin": {
        "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "image_size": 28, "patch_size": 2, "num_channels": 1,
        "window_size": 7,
    },
}  # fmt: skip


def architecture(name: str, **changes: Any) -> dict[str, Any]:
    """A complete architecture entry of the configuration."""
    entry = {"model_type": name, "settings": SIZES[name], **changes}
    return complete(entry, schema()["$defs"]["architecture"])  # type: ignore[no-any-return]


def probe_settings(**changes: Any) -> dict[str, Any]:
    """The section `probes`, complete; `changes` name the probes that stay enabled and what differs in them."""
    settings: dict[str, Any] = complete({}, schema()["properties"]["probes"])
    for name, entry in settings.items():
        if isinstance(entry, dict):
            entry["enabled"] = not changes or name in changes
            entry.update(changes.get(name, {}))
    return settings


def language_task(folder: Path, batch_size: int = 8, length: int = 24) -> Any:
    """Bytes of a source file of Python's library."""
    text = np.frombuffer(Path(argparse.__file__).read_bytes(), dtype=np.uint8)
    np.save(folder / "train.npy", text[:80000])
    np.save(folder / "validation.npy", text[80000:])
    (folder / "data.json").write_text(json.dumps({"vocabulary": {"size": 256}}))
    settings = {"kind": "language", "batch_size": batch_size, "sequence_length": length, "validation_examples": 8}
    return registry.load("tasks", "language").Task(settings, folder)


def built(name: str, task: Any, **changes: Any) -> model.Model:
    """The model of an entry in training mode, made a little less regular than at initialisation."""
    found = model.build(architecture(name, **changes), task, 0)
    return disturbed(found)


def disturbed(module: Any) -> Any:
    """`module` with every parameter moved: zeros, ones and equal layers would hide mistakes."""
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.15 * torch.randn(parameter.shape, generator=draw))
    return module.train()


def backbone(name: str, implementation: str, seed: int = 0) -> nn.Module:
    """transformers' own model of a size above, disturbed; equal weights whatever the attention implementation."""
    settings = dict(SIZES[name])
    if name not in ("vit", "swin"):
        settings |= {"vocab_size": 256, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
    torch.manual_seed(seed)
    return disturbed(  # type: ignore[no-any-return]
        AutoModel.from_config(AutoConfig.for_model(name, **settings), attn_implementation=implementation)
    )


class Wrapped(nn.Module):
    """A bare backbone in the place of a Model: inputs are tokens or pixels, outputs its states."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.backbone = inner

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """States of the backbone."""
        name = "pixel_values" if inputs.ndim == 4 else "input_ids"
        states: torch.Tensor = self.backbone(**{name: inputs}, **({} if inputs.ndim == 4 else {"use_cache": False}))[0]
        return states


def look_at(
    module: nn.Module, inputs: torch.Tensor, settings: Mapping[str, Any], *, step: int = 0, watched: Any = (),
    task: Any = None, targets: Any = None,
) -> Look:  # fmt: skip
    """A look at a Model (or Wrapped) at `step` of 100."""
    blocks = [
        (index, f"backbone.{name}", part) for index, name, part in layers.blocks(module.get_submodule("backbone"))
    ]
    watcher = _capture.Watcher(module, [name for _, name, _ in blocks] + list(watched))
    return Look(module, task, blocks, inputs, step, 100, (inputs, targets), watcher, settings)


def values(rows: list[dict[str, Any]], quantity: str) -> dict[tuple[str, int], float]:
    """(module, head) -> value of one quantity."""
    return {(row["module"], row["head"]): row["value"] for row in rows if row["quantity"] == quantity}
