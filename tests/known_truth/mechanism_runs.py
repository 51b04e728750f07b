"""Folders of runs whose gradient norms and mixing entropies are made up, so that what is found in them is known."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars

STEPS = 200
PROBED = sorted({*range(40), *range(40, STEPS, 6)})


def bump(centre: float, width: float = 4.0) -> Any:
    return np.exp(-0.5 * ((np.arange(STEPS) - centre) / width) ** 2)


def write_run(
    folder: Path, seed: int, norms: Any, entropy: Any, warmup: float = 0.0, recipe: str = "adamw", layers: int = 2
) -> Path:
    """A run's folder with a gradient norm per step and a relative entropy per probed step, layer and head."""
    path = folder / f"{recipe}-{warmup}-{seed}"
    path.mkdir(parents=True)
    at = {"architecture": "gpt2", "task": "language", "recipe": recipe, "warmup": f"{warmup:g}", "seed": str(seed)}
    facts = {"training": {"steps": STEPS}, "recipe": {"options": {}}}
    (path / "summary.json").write_text(json.dumps({"coordinates": at, "settings": facts, "status": "finished"}))
    steps = np.arange(STEPS)
    log = {"step": steps, "gradient_norm": norms, "learning_rate": np.full(STEPS, 1e-2), "loss": 3 - steps / STEPS}
    polars.DataFrame(log).cast({"step": polars.Int32}).write_parquet(path / "log.parquet")
    rows = [
        row("relative_entropy", step, layer, head, float(entropy[step]) + 0.01 * head)
        for step in PROBED for layer in range(layers) for head in range(3)
    ]  # fmt: skip
    rows += [row("attention_map", 0, 0, 0, None, [0.5, 0.0, 0.25, 0.25]), row("relative_entropy", 5, 0, 0, None)]
    for step in (0, 50):
        rows += [row("sigma_1_weight", step, 0, -1, 2.0), row("sigma_1_update", step, 0, -1, 4.0 if step else 40.0)]
    polars.DataFrame(rows, schema=ROWS).write_parquet(path / "attention.parquet")
    evaluations = {"step": [0, STEPS], "loss": [3.0, 2.0 + seed / 10]}
    polars.DataFrame(evaluations).write_parquet(path / "evaluation.parquet")
    return path


def row(quantity: str, step: int, layer: int, head: int, value: float | None, values: Any = None) -> dict[str, Any]:
    return {
        "step": step, "module": f"h.{layer}", "layer": layer, "head": head, "quantity": quantity, "value": value,
        "values": values,
    }  # fmt: skip


ROWS = {
    "step": polars.Int32, "module": polars.String, "layer": polars.Int32, "head": polars.Int32,
    "quantity": polars.String, "value": polars.Float32, "values": polars.List(polars.Float32),
}  # fmt: skip
