"""The 12 cells at the paper's sizes, three steps each. Written without a card; never run."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from warmup import kernels, registry
from warmup.architectures import model, roles
from warmup.config import configuration
from warmup.cost import bill, expected_data, step

ROOT = Path(__file__).resolve().parents[2]
STEPS = 3


def settings() -> dict[str, Any]:
    return configuration.effective({**yaml.safe_load((ROOT / "config.yaml").read_text()), "scale": "paper"})


def trained(architecture: str, name: str, steps: int) -> tuple[float, float]:
    """(peak bytes, reckoned peak bytes) of `steps` steps, of which those after the first may not wait for the card."""
    chosen = settings()
    entry, built = chosen["tasks"][name], chosen["architectures"][architecture]
    kernels.install("cuda", 1, built["model_type"])
    with expected_data.folder(entry, Path("/nowhere")) as (folder, _):
        task = registry.load("tasks", entry["kind"]).Task(entry, folder)
        examples = bill.part(chosen, architecture, name)
        reckoned = step.measure(built, task, examples, "bfloat16").peak
        network = model.build(built, task, seed=0).cuda().train()
        inputs, targets = (part.clone() for part in step.batch(task, examples, "cuda"))
    recipe = chosen["recipes"]["adamw"]
    optimizer = registry.load("optimizers", "adamw").create(roles.parameter_groups(network, 0.1), recipe)
    torch.cuda.reset_peak_memory_stats()
    try:
        for number in range(steps):
            torch.cuda.set_sync_debug_mode("error" if number else "default")
            with torch.autocast("cuda", dtype=torch.bfloat16):
                loss = task.loss(network(inputs), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.isfinite(loss)
    return float(torch.cuda.max_memory_allocated()), float(reckoned)


@pytest.mark.parametrize("name", ["series", "images", "language"])
@pytest.mark.parametrize("architecture", ["gpt2", "mamba", "jamba", "rwkv"])
def test_a_cell_steps_without_waiting_within_the_bills_memory(architecture: str, name: str) -> None:
    peak, reckoned = trained(architecture, name, STEPS)
    assert peak == pytest.approx(reckoned, rel=0.15)


def test_gpt2_runs_flash_attention_and_the_fused_optimiser() -> None:
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        trained("gpt2", "language", 1)
    names = " ".join(event.key for event in profiled.key_averages())
    for part in ("_flash_attention_forward", "_flash_attention_backward", "_fused_adamw_"):
        assert part in names
