"""What a pilot chooses: peak rates by architecture and task, then one of several designs; rules in docs/pilot.md.

In: runs tables (outcomes.SCHEMA) of the pilot's studies. Out: the choices, and the tables they were made from.
"""

from collections.abc import Mapping

import numpy as np
import polars

from warmup.errors import DataError
from warmup.statistics.base.outcomes import cells, with_outcome

WHERE = ("architecture", "task")
START_SECONDS = 0.41
"""Processor time of a warm start and end, which every run pays whatever its length (docs/LOG.md, 2026-11-24)."""


def rates(runs: polars.DataFrame, outcome: str) -> polars.DataFrame:
    """Mean outcome over warmups and seeds, per architecture, task and peak rate: `mean_loss`, `lowest`, `at_the_end`.

    `lowest` marks the rate of the lowest mean, `at_the_end` that it is an end of the rates tried in this cell.
    """
    means = (
        with_outcome(runs, outcome)
        .group_by(*WHERE, "peak_learning_rate", maintain_order=True)
        .agg(polars.col("outcome").mean().alias("mean_loss"), polars.len().alias("runs"))
        .sort(*WHERE, "peak_learning_rate")
    )
    tried, loss = polars.col("peak_learning_rate"), polars.col("mean_loss")
    return means.with_columns((loss == loss.min().over(WHERE)).alias("lowest")).with_columns(
        (polars.col("lowest") & ((tried == tried.min().over(WHERE)) | (tried == tried.max().over(WHERE)))).alias(
            "at_the_end"
        )
    )


def designs(
    runs: polars.DataFrame,
    today: polars.DataFrame,
    seconds: Mapping[tuple[str, str, str], float],
    outcome: str,
    margins: Mapping[str, float],
) -> polars.DataFrame:
    """One row per cell and design (recipe): what a design's precision costs there, and whether its loss is allowed.

    `today`: runs of the settings that no cell's mean loss may exceed. `seconds`: processor seconds of a run by
    (architecture, task, recipe). `margins`: relative margin by task, with `default`. Columns: `mean_loss`,
    `today_loss`, `allowed`, `margin` (unit of the loss), `noise` (residual standard deviation over margin), `freedom`,
    `seconds`, `price` (noise squared times the seconds of a run and its start).
    """
    before = {(cell.architecture, cell.task): float(cell.block.complete.mean()) for cell in cells(today, outcome)}
    found = []
    for cell in cells(runs, outcome):
        values, where = cell.block.complete, (cell.architecture, cell.task)
        n, arms = values.shape
        if n < 2 or arms < 2:
            raise DataError(
                f"{' '.join(cell.key.values())}: {n} seeds x {arms} warmups leave no residual; run two of each"
            )
        residual = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
        freedom = (n - 1) * (arms - 1)
        margin = margins.get(cell.task, margins["default"]) * float(values.mean(axis=0).min())
        noise = float(np.sqrt((residual**2).sum() / freedom)) / margin
        spent = seconds[cell.architecture, cell.task, cell.recipe]
        found.append(
            {
                **cell.key,
                "mean_loss": float(values.mean()),
                "today_loss": before[where],
                "allowed": float(values.mean()) <= before[where],
                "margin": margin,
                "noise": noise,
                "freedom": freedom,
                "seconds": spent,
                "price": noise**2 * (spent + START_SECONDS),
            }
        )
    return polars.DataFrame(found)


def best_design(table: polars.DataFrame) -> polars.DataFrame:
    """Designs by preference, best first: most cells allowed, then the lowest median price. `table`: of `designs`."""
    return (
        table.group_by("recipe", maintain_order=True)
        .agg(
            polars.col("allowed").sum(),
            polars.len().alias("cells"),
            polars.col("price").median().alias("median_price"),
            polars.col("noise").median().alias("median_noise"),
            polars.col("seconds").mean().alias("mean_seconds"),
        )
        .sort("allowed", "median_price", descending=[True, False])
    )
