"""A training step of today's recurrent backbones on one CPU thread, with transformers' recurrences and with ours.

python benchmarks/recurrences.py  prints processor milliseconds of forward and backward, the best of six: 16 texts of 64
positions, width 64, 2 layers; Mamba's stands first for comparison. docs/LOG.md keeps what it printed.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

import torch
import transformers
from transformers import AutoConfig, AutoModel

from warmup import kernels
from warmup.architectures.small import small_settings
from warmup.kernels import borrowed

MODEL_TYPES = ("mamba", "mamba2", "falcon_h1", "qwen3_next", "kimi_linear", "recurrent_gemma", "xlstm")


def milliseconds(model_type: str, ours: bool) -> float:
    """Processor time of a step; without ours, transformers' own PyTorch forms run, whatever packages are installed."""
    kernels.uninstall()
    if ours:
        kernels.install("cpu", 1, model_type)
    else:
        for module in kernels._modelling_modules(model_type):
            for function in borrowed.functions(module):
                kernels._replace(module, function, borrowed.in_torch)
    torch.manual_seed(0)
    settings = {**small_settings(model_type, 64, 2), "vocab_size": 256, "use_cache": False, "pad_token_id": None}
    model = AutoModel.from_config(AutoConfig.for_model(model_type, **settings))
    inputs, best = torch.randn(16, 64, 64), float("inf")
    for _ in range(6):
        started = time.process_time()
        model(inputs_embeds=inputs).last_hidden_state.cos().mean().backward()
        best = min(best, time.process_time() - started)
    return 1000 * best


if __name__ == "__main__":
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for name in MODEL_TYPES:
        print(
            f"{name:16} transformers {milliseconds(name, False):7.1f}   here {milliseconds(name, True):7.1f}",
            flush=True,
        )
