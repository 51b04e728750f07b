"""What `make test-gpu` runs on: a card, a torch that sees it, kernels that bind. Written without a card; never run."""

import pytest
import torch

from warmup import kernels


def test_torch_sees_a_card() -> None:
    assert torch.cuda.is_available(), "this PyTorch sees no GPU"
    print(f"\ntorch {torch.__version__}, CUDA {torch.version.cuda}, {torch.cuda.get_device_name()}")
    assert torch.cuda.is_bf16_supported()


@pytest.mark.parametrize("model_type", ["gpt2", "mamba", "jamba", "rwkv"])
def test_the_kernels_of_a_model_type_bind(model_type: str) -> None:
    installed = kernels.install("cuda", 1, model_type)
    assert bool(installed) == (model_type != "gpt2")
