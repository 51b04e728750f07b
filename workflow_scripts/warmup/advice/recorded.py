"""A file of `warmup.record` as rows of the diagnostics table.

Sharpness, noise scale, entropy and spectra need the workflow's probes: rows without a value say so.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pyarrow.parquet

from warmup.errors import DataError
from warmup.statistics.prediction import diagnostics
from warmup.statistics.prediction.diagnostics import DIAGNOSTICS, UNMEASURED, Early

UNWARMED = 0.5
"""A first rate below this share of the peak was a ramp: what follows is no run without warmup."""


def read(path: Path) -> tuple[polars.DataFrame, dict[str, Any]]:
    """(one row per recorded step, facts of the training)."""
    try:
        facts = json.loads(pyarrow.parquet.read_metadata(path).metadata[b"facts"])
        return polars.read_parquet(path), facts
    except (OSError, KeyError, pyarrow.ArrowInvalid) as error:
        raise DataError(f"{path}: is no file of warmup.record.EarlyDiagnostics ({error})") from error


def warmed(table: polars.DataFrame, facts: Mapping[str, Any]) -> bool:
    """Whether the training that was recorded was warming up."""
    return bool(table["learning_rate"][0] < UNWARMED * facts["peak_learning_rate"])


def rows(
    table: polars.DataFrame, facts: Mapping[str, Any], cell: tuple[str, str, str], settings: Mapping[str, Any]
) -> polars.DataFrame:
    """Diagnostics of the recorded run as `cell` (architecture, task, recipe); `settings`: section prediction."""
    if not facts["betas"]:
        raise DataError(f"the optimizer {facts['optimizer']} has no betas; the reference knows Adam and its kin")
    steps = int(facts["planned_steps"])
    moves = table.drop_nulls("relative_update").select(
        "step",
        polars.lit("all").alias("module"),
        polars.lit("relative_update").alias("quantity"),
        polars.col("relative_update").alias("value"),
    )
    norms, rates = (table[name].to_numpy().astype(np.float64) for name in ("gradient_norm", "learning_rate"))
    recipe = {name: facts[name] for name in ("betas", "weight_decay", "peak_learning_rate")}
    found = []
    for name in settings["diagnostics"]:
        diagnostic = DIAGNOSTICS[name]
        if diagnostic.needs == "run":
            continue
        allowed = [budget for budget in diagnostics.budgets(steps, settings) if budget <= table.height]
        for budget in [0] if diagnostic.needs == "recipe" else allowed:
            early = Early(
                budget=budget,
                steps=steps,
                status="finished",
                norms=norms[:budget],
                rates=rates[:budget],
                probes=moves.filter(polars.col("step") < budget),
                recipe=recipe,
                settings=settings,
                whole_run=UNMEASURED,
            )
            reading = diagnostic.read(early)
            found.append((*cell, 0.0, 0, steps, name, budget, reading.value, reading.note))
    return polars.DataFrame(found, schema=diagnostics.SCHEMA, orient="row")
