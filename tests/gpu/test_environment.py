"""What `make test-gpu` runs on: a card, a torch that sees it, kernels that bind. Written without a card; never run on
one."""

import pytest
import torch

from warmup import kernels

KERNELS = {"cuda": {"mamba", "jamba", "rwkv", "falcon_mamba"}, "cpu": {"mamba", "jamba", "rwkv", "falcon_mamba"}}
"""Model types for which something of ours is put in place."""


def test_torch_sees_the_device_and_does_bfloat16_on_it(device: str) -> None:
    if device == "cuda":
        assert torch.cuda.is_available(), "this PyTorch sees no GPU"
        print(f"\ntorch {torch.__version__}, CUDA {torch.version.cuda}, {torch.cuda.get_device_name()}")
        assert torch.cuda.is_bf16_supported()
    ones = torch.ones(16, 16, device=device, dtype=torch.bfloat16)
    assert torch.equal(ones @ ones, 16 * ones)


@pytest.mark.parametrize("model_type", ["gpt2", "mamba", "jamba", "rwkv", "falcon_mamba", "llama", "vit", "swin"])
def test_the_kernels_of_a_model_type_bind(model_type: str, device: str) -> None:
    installed = [line for line in kernels.install(device, 1, model_type) if not line.startswith("allocator")]
    kernels.uninstall()
    assert bool(installed) == (model_type in KERNELS[device])
