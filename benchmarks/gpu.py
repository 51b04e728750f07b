"""`make benchmark-gpu`: the 12 cells of the paper's study on the card at hand, one table, and measured step times.

    benchmarks/gpu.py [--steps 20] [--into FILE.yaml]      FILE holds hardware.step_seconds, for `--configfile`

Columns: milliseconds of a step (median), tokens (positions) per second, share of the time that the card was busy,
launches. Written without a card; never run on one.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from measure import REPOSITORY

from warmup import kernels, registry
from warmup.architectures import model, roles
from warmup.config import configuration
from warmup.cost import bill, expected_data, step

WARMUPS = 3
CELLS = [(a, t) for a in ("gpt2", "mamba", "jamba", "rwkv") for t in ("language", "images", "series")]


def row(cell: str, seconds: list[float], positions: int, busy: float, launches: int) -> str:
    """A line of the table."""
    median = statistics.median(seconds)
    return f"| {cell} | {1000 * median:.1f} | {positions / median:,.0f} | {100 * busy / median:.0f} % | {launches} |"


def measured(settings: dict[str, Any], architecture: str, name: str, steps: int) -> tuple[list[float], int, float, int]:
    """(seconds of each step, positions of a step, seconds the card was busy in one, launches of one)."""
    entry, built = settings["tasks"][name], settings["architectures"][architecture]
    kernels.install("cuda", 1, built["model_type"])
    with expected_data.folder(entry, Path("/nowhere")) as (folder, _):
        task = registry.load("tasks", entry["kind"]).Task(entry, folder)
        network = model.build(built, task, seed=0).cuda().train()
        inputs, targets = step.batch(task, entry["batch_size"], "cuda")
        size, positions = bill.part(settings, architecture, name), task.positions * entry["batch_size"]
    recipe = settings["recipes"]["adamw"]
    optimizer = registry.load("optimizers", "adamw").create(roles.parameter_groups(network, 0.1), recipe)

    def once() -> None:
        for some, wanted in zip(inputs.split(size), targets.split(size), strict=True):
            with torch.autocast("cuda", dtype=torch.bfloat16):
                loss = task.loss(network(some), wanted) * (len(some) / len(inputs))
            loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()

    seconds = []
    for number in range(WARMUPS + steps):
        started = time.perf_counter()
        once()
        if number >= WARMUPS:
            seconds.append(time.perf_counter() - started)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiled:
        once()
    events = [event for event in profiled.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    return seconds, positions, sum(event.device_time for event in events) / 1e6, len(events)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--steps", type=int, default=20)
    arguments.add_argument("--gpu", default="h100", help="the entry of hardware.gpus that the card is")
    arguments.add_argument("--into", type=Path)
    chosen = arguments.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("make benchmark-gpu needs an NVIDIA GPU and a PyTorch that sees it; here there is none")
    text = (REPOSITORY / "config.yaml").read_text()
    settings = configuration.effective({**yaml.safe_load(text), "scale": "paper"})
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n")
    print("| cell | ms | positions/s | busy | launches |\n|---|---|---|---|---|")
    found = {}
    for architecture, name in CELLS:
        seconds, positions, busy, launches = measured(settings, architecture, name, chosen.steps)
        found[f"{architecture}/{name}"] = round(statistics.median(seconds), 6)
        print(row(f"{architecture}, {name}", seconds, positions, busy, launches), flush=True)
        torch.cuda.empty_cache()
    if chosen.into is not None:
        chosen.into.write_text(yaml.safe_dump({"hardware": {"gpu": chosen.gpu, "step_seconds": {chosen.gpu: found}}}))


if __name__ == "__main__":
    main()
