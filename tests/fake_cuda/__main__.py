"""One training step of every cell of the paper's study on CUDA tensors that have no memory: prints JSON, one line a
cell.

    LD_PRELOAD=guard.so python tests/fake_cuda CONFIG CELL [CELL ...]      (a cell: architecture/task)

What a GPU would run is what runs here: kernels.install("cuda"), autocast's CUDA tables, the loss, norms of gradients,
the fused optimiser's call. The packages mamba_ssm, causal_conv1d and fla are stood in for by cost/gpu_kernels.py, which
refuses what they refuse.
"""

import json
import sys
import types
from pathlib import Path
from typing import Any

import torch
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

TORCH = "2.13"


def pretend() -> None:
    """torch.cuda answers as with one H100; the packages of the GPU's kernels can be imported."""
    answers: dict[str, Any] = {
        "is_available": True, "is_bf16_supported": True, "current_device": 0, "device_count": 1,
        "get_device_capability": (9, 0), "is_current_stream_capturing": False, "get_device_name": "no GPU",
    }  # fmt: skip
    for name, answer in answers.items():
        setattr(torch.cuda, name, lambda *_, answer=answer, **__: answer)
    from warmup.cost import gpu_kernels

    parts = {
        "selective_scan_cuda": [],
        "causal_conv1d_cuda": [],
        "mamba_ssm": ["selective_scan_fn", "mamba_inner_fn"],
        "mamba_ssm.ops": [],
        "mamba_ssm.ops.selective_scan_interface": ["selective_scan_fn", "mamba_inner_fn"],
        "causal_conv1d": ["causal_conv1d_fn"],
        "fla": [],
        "fla.ops": [],
        "fla.ops.rwkv4": ["fused_recurrent_rwkv4"],
    }
    for name, functions in parts.items():
        module = types.ModuleType(name)
        module.__path__ = []
        for function in functions:
            setattr(module, function, getattr(gpu_kernels, function))
        sys.modules[name] = module
        above, _, own = name.rpartition(".")
        if above:
            setattr(sys.modules[above], own, module)


def main(config: str, cells: list[str]) -> None:
    if not torch.__version__.startswith(TORCH):
        raise SystemExit(f"tests/fake_cuda/guard.cpp is written for torch {TORCH}, not {torch.__version__}: adapt it")
    pretend()
    from warmup import kernels, registry
    from warmup.architectures import roles
    from warmup.config import configuration
    from warmup.cost import bill, expected_data, step

    settings = configuration.effective({**yaml.safe_load(Path(config).read_text()), "scale": "paper"})
    for cell in cells:
        architecture, name = cell.split("/")
        entry, built = settings["tasks"][name], settings["architectures"][architecture]
        installed = kernels.install("cuda", 1, built["model_type"])
        after: dict[str, Any] = {}

        def update(network: Any, loss: Any, after: dict[str, Any] = after) -> None:
            gradients = {path: parameter.grad for path, parameter in roles.trained(network)}
            after["dtypes"] = sorted({"none" if g is None else str(g.dtype) for g in gradients.values()})
            groups = roles.parameter_groups(network, 0.1)
            torch.stack(torch._foreach_norm([g for g in gradients.values() if g is not None])).double().square_()
            assert loss.device.type == "cuda"
            optimizer = registry.load("optimizers", "adamw").create(groups, settings["recipes"]["adamw"])
            optimizer.step()
            after["fused"] = bool(optimizer.defaults["fused"])

        with expected_data.folder(entry, Path("/nowhere")) as (folder, _):
            task = registry.load("tasks", entry["kind"]).Task(entry, folder)
            examples = bill.part(settings, architecture, name)
            found = step.measure(built, task, examples, "bfloat16", device="cuda", update=update)
        print(
            json.dumps({
                "cell": cell, "peak": found.peak, "kept": found.kept, "largest": found.largest, "loss": found.loss,
                "slow": found.slow_flops / found.product_flops,
                "logits": examples * task.positions * (task.vocabulary or 0), "installed": installed, **after,
            }),
            flush=True,
        )  # fmt: skip


main(sys.argv[1], sys.argv[2:])
