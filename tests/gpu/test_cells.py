"""The 12 cells at the paper's sizes on random batches, three steps each, by the training itself. Written without a
card; never run on one."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from warmup import kernels
from warmup.cost import bill, step
from warmup.training.loop import Training

STEPS = 3

SLOW = 1e-3
"""Largest share of a step's FLOPs in products in float32 or of unaligned matrices, as on the fake device."""

KERNELS = {
    "cuda": {"flash_attention_forward", "flash_attention_backward", "_fused_adamw_"},
    "cpu": {"flash_attention_for_cpu", "flash_attention_for_cpu_backward", "_foreach_addcdiv_"},
}
"""Parts of the names of what a step of a model with attention calls."""

Settings = Callable[[str, str], dict[str, Any]]

cells = pytest.mark.parametrize(
    ("architecture", "task"),
    [(a, t) for a in ("gpt2", "mamba", "jamba", "rwkv") for t in ("series", "images", "language")],
)


@pytest.fixture
def training(device: str, settings_of: Settings, data: Path) -> Iterator[Callable[[str, str], Training]]:
    """Function (architecture, task) -> a training that has done nothing yet; its memory is given back at the end."""

    def begun(architecture: str, task: str) -> Training:
        made = Training(settings_of(architecture, task), data / task, torch.device(device))  # type: ignore[arg-type]
        made.evaluation_steps = set()
        return made

    yield begun
    kernels.uninstall()
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def without_waiting(device: str) -> Iterator[None]:
    """Inside, whatever makes the processor wait for the card is an error."""
    if device == "cpu":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@cells
def test_a_cell_steps_without_waiting_within_the_bills_memory(
    architecture: str, task: str, training: Callable[[str, str], Training], settings: dict[str, Any], device: str
) -> None:
    ours = training(architecture, task)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    ours.update()  # compiles, and makes the optimiser's state
    with without_waiting(device):
        while ours.step < STEPS:
            ours.update()
    assert bool(torch.isfinite(ours.recorder.losses[:STEPS]).all())
    examples = bill.part(settings, architecture, task)
    reckoned = step.measure(settings["architectures"][architecture], ours.task, examples, "bfloat16")
    if device == "cuda":
        assert torch.cuda.max_memory_allocated() == pytest.approx(reckoned.peak, rel=0.15)
    assert ours.model.training and reckoned.examples <= ours.task.batch_size


@cells
def test_no_product_of_a_cell_is_unaligned_or_in_float32(
    architecture: str, task: str, training: Callable[[str, str], Training], device: str
) -> None:
    ours = training(architecture, task)
    with step.Watch(device) as watch:
        ours.update()
    assert watch.product_flops > 0
    if device == "cuda":
        assert watch.slow_flops < SLOW * watch.product_flops


@pytest.mark.parametrize(("architecture", "task"), [("gpt2", "language"), ("gpt2", "series"), ("jamba", "language")])
def test_attention_is_flash_forward_and_backward_and_the_optimiser_fused(
    architecture: str, task: str, training: Callable[[str, str], Training], device: str
) -> None:
    ours = training(architecture, task)
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    with profile(activities=activities) as profiled:
        ours.update()
    names = " ".join(event.key for event in profiled.key_averages())
    assert not [part for part in KERNELS[device] if part not in names], names
    assert "efficient_attention" not in names and "_attention_math" not in names
