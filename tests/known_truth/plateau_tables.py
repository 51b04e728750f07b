"""Tables of runs at several plateau heights, with the effect of each height as it was put in."""

from typing import Any

import numpy as np
import polars

from warmup.statistics.base import outcomes
from warmup.theory import plateau_heights

HEIGHTS = (0.25, 0.5, 1.0, 2.0)


def recipe(height: float | None, decay: float = 0.1, **changes: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"decay_fraction": decay} | ({} if height is None else {"plateau": height})
    return {"schedule": "wsd", "floor": 0.1, "schedule_options": options} | changes


RECIPES = {f"h{height:g}": recipe(height) for height in HEIGHTS} | {"cosine": recipe(1.0, schedule="cosine")}


def runs(
    effect: dict[str, float], *, seeds: int = 6, noise: float = 0.002, architectures: tuple[str, ...] = ("gpt2",)
) -> polars.DataFrame:
    """A runs table: loss 2 + seed's own level + effect of the recipe + noise."""
    random = np.random.default_rng(3)
    rows = []
    for architecture in architectures:
        level = random.normal(0, 0.5, seeds)
        for name, shift in effect.items():
            for seed in range(seeds):
                loss = 2 + level[seed] + shift + random.normal(0, noise)
                row = dict.fromkeys(outcomes.SCHEMA) | {
                    "architecture": architecture,
                    "task": "language",
                    "recipe": name,
                    "warmup": 0.1,
                    "seed": seed,
                    "steps": 100,
                    "status": "finished",
                    "role": "study",
                    "initial_validation_loss": 9.0,
                    "final_validation_loss": loss,
                }
                rows.append(row)
    return polars.DataFrame(rows, schema=outcomes.SCHEMA)


def compare(table: polars.DataFrame, **changes: Any) -> tuple[polars.DataFrame, polars.DataFrame]:
    settings = {"recipes": RECIPES, "outcome": "final_validation_loss", "confidence": 0.95}
    return plateau_heights.compare(table, settings | changes)
