"""What an optimiser costs: whole training steps of the laptop's networks, each optimiser beside AdamW, by turns.

    python benchmarks/optimizers.py results/laptop/data [steps]      # prepared data of the laptop scale

Printed are median milliseconds of a step and the median of the paired ratios to AdamW; the process takes one thread.
"""

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

import torch
import yaml

from warmup.config import configuration, grid
from warmup.training import loop

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ("adamw", "warm_norms", "lion", "muon", "adamw2_0.01")
"""The first is what the others are held against; warm_norms is AdamW with its rates apart by role."""
SKIP = 5


def trainings(architecture: str, data: Path) -> list[loop.Training]:
    """One training per recipe, same weights and batches, without probes."""
    settings = configuration.effective(yaml.safe_load((ROOT / "config.yaml").read_text()))
    made = []
    for recipe in RECIPES:
        run = grid.run_settings(settings, grid.Run(architecture, "language", recipe, "0.1", "0"))
        made.append(loop.Training({**run, "probes": {"samples": 1}}, data / "language", torch.device("cpu")))
    return made


def main() -> None:
    data, steps = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 60
    torch.set_num_threads(1)
    for architecture in ("gpt2", "mamba", "jamba"):
        made, times = trainings(architecture, data), [[] for _ in RECIPES]
        for step in range(steps):
            for which in range(len(made)) if step % 2 else reversed(range(len(made))):
                started = time.perf_counter()
                made[which].update()
                times[which].append(time.perf_counter() - started)
        kept = [part[SKIP:] for part in times]
        for recipe, own in zip(RECIPES, kept, strict=True):
            ratio = statistics.median(b / a for a, b in zip(kept[0], own, strict=True))
            print(f"{architecture:6} {recipe:12} {1e3 * statistics.median(own):7.2f} ms   ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
