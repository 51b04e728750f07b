"""RWKV-4's token mixing on GPUs, under Triton's interpreter, which runs on a CPU: against transformers' own methods."""

import os
import subprocess
import sys
from pathlib import Path

from warmup import kernels

INTERPRETED = """
import torch
from transformers import AutoConfig
from transformers.models.rwkv import modeling_rwkv
from warmup.kernels import token_mixing_cuda as ours

torch.manual_seed(0)
for batch, length, width in ((2, 37, 70), (1, 1, 8), (3, 64, 64)):
    config = AutoConfig.for_model("rwkv", hidden_size=width, attention_hidden_size=width, num_hidden_layers=2)
    mixing, feed_forward = modeling_rwkv.RwkvSelfAttention(config, 1), modeling_rwkv.RwkvFeedForward(config, 1)
    for module in (mixing, feed_forward):
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter)
    hidden = torch.randn(batch, length, width, requires_grad=True)
    for module, mixes in (
        (mixing, (mixing.time_mix_key, mixing.time_mix_value, mixing.time_mix_receptance)),
        (feed_forward, (feed_forward.time_mix_key, feed_forward.time_mix_receptance)),
    ):
        shifted = module.time_shift(hidden)
        right = torch.stack([hidden * share + shifted * (1 - share) for share in mixes])
        found = torch.stack(ours.mixtures(hidden, *mixes))
        g = torch.randn_like(right)
        gradients = [torch.autograd.grad(out, [hidden, *mixes], g) for out in (right, found)]
        for wanted, got in [(right, found), *zip(*gradients, strict=True)]:
            assert (wanted - got).abs().max() <= 1e-5 * wanted.abs().max(), (batch, length, width)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = torch.stack(ours.mixtures(hidden, *mixes))
        assert half.dtype == torch.bfloat16 and torch.allclose(half.float(), right, rtol=2**-7, atol=0)
    hidden[0, 0, 0].detach().fill_(float("nan"))
    spread = torch.stack(ours.mixtures(hidden, mixing.time_mix_key)).isnan()[0, 0, :, 0]
    assert spread[: min(2, length)].all() and not spread[2:].any()
print("agreed")
"""


def interpreting() -> dict[str, str]:
    """A process's environment with Triton, which `make env` leaves out and `make test` does not, interpreted."""
    packages = Path(sys.prefix, "triton")
    assert packages.is_dir(), f"{packages} is missing: run make .venv/triton/.complete"
    path = os.pathsep.join([str(Path(kernels.__file__).parents[2]), str(packages)])
    return dict(os.environ, TRITON_INTERPRET="1", OMP_NUM_THREADS="1", PYTHONPATH=path)


def test_mixtures_and_their_gradients_are_those_of_transformers() -> None:
    environment = interpreting()
    answer = subprocess.run(
        [sys.executable, "-c", INTERPRETED], env=environment, capture_output=True, text=True, check=False
    )
    assert answer.stdout.strip() == "agreed", answer.stderr


def test_the_stand_ins_are_the_methods_they_replace() -> None:
    code = INTERPRETED.partition("torch.manual_seed")[0] + (
        "torch.manual_seed(0)\n"
        "class Gpu(torch.Tensor):\n"
        "    device = torch.device('cuda')\n"
        "config = AutoConfig.for_model('rwkv', hidden_size=16, attention_hidden_size=16, num_hidden_layers=2)\n"
        "ours.mixtures = lambda hidden, *mixes, whole=ours.mixtures: whole(hidden.as_subclass(torch.Tensor), *mixes)\n"
        "for kind, method, stand_in in (\n"
        "    ('RwkvSelfAttention', 'extract_key_value', ours.attention_stand_in),\n"
        "    ('RwkvFeedForward', 'forward', ours.feed_forward_stand_in),\n"
        "):\n"
        "    module = getattr(modeling_rwkv, kind)(config, 0)\n"
        "    for parameter in module.parameters():\n"
        "        torch.nn.init.normal_(parameter)\n"
        "    hidden, method = torch.randn(2, 5, 16), getattr(type(module), method)\n"
        "    right, found = method(module, hidden), stand_in(method)(module, hidden.as_subclass(Gpu))\n"
        "    for wanted, got in zip(right, found, strict=True):\n"
        "        assert got is wanted is None or torch.allclose(wanted, got, rtol=1e-4, atol=1e-5)\n"
        "print('agreed')\n"
    )
    environment = interpreting()
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert answer.stdout.strip() == "agreed", answer.stderr
