"""What probing costs: processor time of each probe at the default cadence over that of the steps without it.

    python benchmarks/probes.py [architecture ...]      # laptop sizes; default gpt2

The steps are those of the laptop scale (forward, backward, update; evaluations, which cost a run about half as much
again, are left out of the denominator, so the printed shares are upper bounds of the share of a run).
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

import numpy
import torch
import yaml

from warmup import configuration, kernels, probes, registry
from warmup.architectures import model, roles

ROOT = Path(__file__).resolve().parents[1]


def measured(settings: Any, name: str, task: Any, chosen: set[str]) -> tuple[float, float]:
    """(seconds of probing, seconds of the steps) of one run with the probes `chosen`."""
    entry = settings["architectures"][name]
    kernels.install("cpu", entry["model_type"])
    network = model.build(entry, task, 0).train()
    recipe = settings["recipes"]["adamw"]
    optimizer = registry.load("optimizers", recipe["optimizer"]).create(roles.parameter_groups(network, 0.1), recipe)
    section = {
        key: entry | {"enabled": key in chosen} if isinstance(entry, dict) else entry
        for key, entry in settings["probes"].items()
    }
    steps = settings["training"]["steps"]
    looking = probes.build(section, model=network, task=task, probe_batch=next(task.validation()), steps=steps)
    probing, started = 0.0, time.process_time()
    for step in range(steps):
        batch = task.batch(0, step)
        task.loss(network(batch[0]), batch[1]).backward()
        before = time.process_time()
        if looking.due(step):
            looking.before_update(step, batch)
        probing += time.process_time() - before
        optimizer.step()
        before = time.process_time()
        if looking.due(step):
            looking.after_update(step, batch, optimizer, recipe["peak_learning_rate"])
        probing += time.process_time() - before
        optimizer.zero_grad(set_to_none=True)
    return probing, time.process_time() - started - probing


def language_task(settings: Any, folder: Path) -> Any:
    """Bytes of this repository's sources as text."""
    text = numpy.frombuffer(b"".join(path.read_bytes() for path in sorted(ROOT.rglob("warmup/**/*.py"))), numpy.uint8)
    numpy.save(folder / "train.npy", text[: len(text) // 2])
    numpy.save(folder / "validation.npy", text[len(text) // 2 :])
    (folder / "data.json").write_text(json.dumps({"vocabulary": {"size": 256}}))
    return registry.load("tasks", "language").Task(settings["tasks"]["language"], folder)


def main() -> None:
    torch.set_num_threads(1)
    settings = configuration.effective(yaml.safe_load((ROOT / "config.yaml").read_text()))
    kinds = [name for name, entry in settings["probes"].items() if isinstance(entry, dict)]
    with tempfile.TemporaryDirectory() as folder:
        task = language_task(settings, Path(folder))
        for name in sys.argv[1:] or ["gpt2"]:
            measured(settings, name, task, set(kinds))  # warm caches
            for chosen in [{kind} for kind in kinds] + [set(kinds)]:
                probing, steps = measured(settings, name, task, chosen)
                words = next(iter(chosen)) if len(chosen) == 1 else "all"
                print(f"{name:8} {words:10} {100 * probing / steps:5.1f} % of the steps")


if __name__ == "__main__":
    main()
