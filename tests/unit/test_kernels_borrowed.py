"""What a model computes on a CPU does not depend on which packages for GPUs happen to be installed."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from warmup import kernels
from warmup.errors import EnvironmentProblemError
from warmup.kernels import borrowed

PACKAGES = ("fla", "causal_conv1d", "mamba_ssm", "mambapy")

PACKAGE = """
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    def kernel(*_, **__):
        raise RuntimeError(f"{name} of a package for GPUs was called on a CPU")
    return kernel
"""

STEPS = """
import hashlib, sys
import torch
for name in sys.argv[2:]:
    sys.modules[name] = None  # cannot be imported
from transformers import AutoConfig, AutoModel
from warmup import kernels
torch.set_num_threads(1)
attention = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
                 intermediate_size=16, max_position_embeddings=32, vocab_size=20, pad_token_id=None)
delta = dict(linear_num_key_heads=1, linear_num_value_heads=2, linear_key_head_dim=8, linear_value_head_dim=8)
experts = dict(num_experts=2, num_experts_per_tok=1, moe_intermediate_size=8, shared_expert_intermediate_size=8)
SMALL = {
    "qwen3_next": {**attention, **delta, **experts, "layer_types": ["linear_attention", "full_attention"]},
    "mamba2": dict(hidden_size=16, num_hidden_layers=1, num_heads=4, head_dim=8, state_size=4, n_groups=1,
                   vocab_size=20),
}
for model_type, settings in SMALL.items():
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(model_type, **settings, use_cache=False))
    kernels.install("cpu", 1, model_type)
    states = model(inputs_embeds=torch.randn(2, 9, 16)).last_hidden_state
    states.square().sum().backward()
    digest = hashlib.sha256(states.detach().numpy().tobytes())
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            digest.update(name.encode() + parameter.grad.contiguous().numpy().tobytes())
    print(model_type, digest.hexdigest())
"""


def digests(packages: str | Path, *hidden: str) -> list[str]:
    """Model type and digest of a step's states and gradients, in a process that finds packages in that folder."""
    places = [str(Path(kernels.__file__).parents[2]), str(packages)]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(places))
    command = [sys.executable, "-c", STEPS, "-", *hidden]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_no_package_for_gpus_changes_what_a_model_computes_on_a_cpu(tmp_path: Path) -> None:
    for name in PACKAGES:
        (tmp_path / f"{name}.py").write_text(PACKAGE)
    without = digests("", *PACKAGES)
    assert len(without) == 2
    assert digests(tmp_path) == without
    assert digests(Path(sys.prefix, "triton")) == without  # fla-core and Triton themselves


@pytest.mark.parametrize(
    ("model_type", "taken"),
    [
        ("qwen3_next", {"causal_conv1d_fn", "torch_chunk_gated_delta_rule"}),
        ("mamba2", {"causal_conv1d_fn", "mamba2_chunk_scan"}),
    ],
)
def test_what_transformers_takes_from_packages_is_recognised(model_type: str, taken: set[str]) -> None:
    kernels.uninstall()
    (module,) = kernels._modelling_modules(model_type)
    assert taken <= set(borrowed.functions(module))
    kernels.install("cpu", 1, model_type)
    assert borrowed.functions(module) == []
    kernels.uninstall()
    assert taken <= set(borrowed.functions(module))


def test_a_package_that_replaces_whole_layers_is_refused() -> None:
    module = ModuleType("modeling_xlstm")
    module.external_xlstm = True  # type: ignore[attr-defined]
    with pytest.raises(EnvironmentProblemError, match="pip uninstall xlstm"):
        borrowed.refuse(module)


@pytest.mark.parametrize("model_type", ["gemma3_text", "qwen3_5_text", "llama4_text", "data2vec-text", "openai-gpt"])
def test_a_modelling_module_is_found_whatever_its_name(model_type: str) -> None:
    (module,) = kernels._modelling_modules(model_type)
    assert module.__name__.startswith("transformers.models.")
