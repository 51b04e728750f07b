"""A synthetic study of two architectures and two tasks, with every table that the report reads."""

from typing import Any

import numpy as np
import polars
from statistics_settings import statistics

from known_truth.simulation import Design, planted_optimum, runs
from warmup.statistics.base import outcomes, validation
from warmup.statistics.effect import comparisons, mixed_model, optimum, plateau, power
from warmup.statistics.words import needed

WARMUPS = (0.0, 0.02, 0.1, 0.3)


WORDS = {
    "labels": {"a00": "GPT-2", "a01": "Mamba", "t0": "text", "t1": "digits"},
    "units": {"t0": "nats"},
    "outcome": "best_validation_loss",
    "offset": 0.005,
    "confidence": 0.95,
    "scale": "laptop",
    "question": "warmup",
}


def tables(table: polars.DataFrame, settings: dict[str, Any] | None = None) -> dict[str, polars.DataFrame]:
    """Every table that the report reads."""
    settings = settings or statistics(bootstrap={"resamples": 300, "seed": 1})
    sets, regrets = plateau.plateaus(table, settings)
    return {
        "runs": table,
        "answer": needed.answer(sets, regrets, outcomes.steps(table), dict.fromkeys(outcomes.steps(table), 30.0), {}),
        "arms": outcomes.arms(table),
        "optima": optimum.optima(table, settings),
        "crossfit": optimum.crossfit(table, settings),
        "plateaus": sets,
        "regrets": regrets,
        "validation_errors": validation_errors(sets),
        "comparisons": comparisons.comparisons(table, settings),
        "power": power.power_table(table, settings),
        "mixed_model": mixed_model.mixed_model(table, settings),
    }


def validation_errors(sets: polars.DataFrame, reach: float = 0.01) -> polars.DataFrame:
    """Validation errors of every cell in `sets`: all warmups but the first would move by `reach`."""
    rows = [
        {axis: row[axis] for axis in outcomes.CELL}
        | {"warmup": warmup, "best": warmup == WARMUPS[0], "examples": 128, "stretches": 50, "verdict": "ok"}
        | {"difference_reach": reach, "margin": row["margin"]}
        | {"beyond_margin": None if row["margin"] is None else reach > row["margin"]}
        for row in sets.iter_rows(named=True)
        for warmup in WARMUPS
    ]
    return polars.DataFrame(rows, schema=validation.VALIDATION_ERRORS)


def study(**changes: Any) -> polars.DataFrame:
    regret = np.repeat([planted_optimum(WARMUPS, 0.1, 1.0), planted_optimum(WARMUPS, 0.0, 0.0)], 2, axis=0)
    design = Design(**{"architectures": 2, "tasks": 2, "seeds": 10, "warmups": WARMUPS, "regret": regret, **changes})
    return runs(design, seed=9)
