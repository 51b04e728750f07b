"""What more steps would gain: the slope of the loss between two budgets, and what a loss is worth in steps.

In: a runs table (outcomes.SCHEMA), or the table that `slopes` made of one. Out: losses as shares of more steps.
"""

import numpy as np
import polars

from warmup.errors import DataError
from warmup.statistics.base.outcomes import with_outcome

WHERE = ("architecture", "task")


def slopes(runs: polars.DataFrame, outcome: str) -> polars.DataFrame:
    """Loss lost per unit of log steps, per architecture and task, from runs of two budgets: `slope`, steps, losses.

    (loss of the shorter - loss of the longer) / ln(longer / shorter), means over warmups and seeds of the runs that
    differ in nothing else. Null where the longer is no better.
    """
    means = (
        with_outcome(runs, outcome)
        .group_by(*WHERE, "steps")
        .agg(polars.col("outcome").mean())
        .sort("steps")
        .group_by(*WHERE, maintain_order=True)
        .agg(
            polars.col("steps").first().alias("shorter"),
            polars.col("steps").last().alias("longer"),
            polars.col("outcome").first().alias("shorter_loss"),
            polars.col("outcome").last().alias("longer_loss"),
        )
        .sort(WHERE)
    )
    ratio = (polars.col("longer") / polars.col("shorter")).log()
    slope = (polars.col("shorter_loss") - polars.col("longer_loss")) / ratio
    return means.with_columns(polars.when(slope > 0).then(slope).alias("slope"))


def read_slopes(path: str | None) -> dict[tuple[str, str], float]:
    """Slopes by (architecture, task) from a table that `slopes` made (CSV); empty without one.

    Raises DataError for a file that is no such table.
    """
    if not path:
        return {}
    try:
        rows = polars.read_csv(path).select(*WHERE, polars.col("slope").cast(polars.Float64)).drop_nulls().rows()
    except (polars.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"statistics.budgets: {path} cannot be read ({error}); it has columns {', '.join(WHERE)} and slope"
        ) from error
    return {(architecture, task): slope for architecture, task, slope in rows}


def more_steps(loss: float, slope: float | None) -> float | None:
    """What a loss of `loss` more is worth, as a share of the steps: exp(loss / slope) - 1; None without a slope."""
    return None if slope is None else float(np.expm1(loss / slope))
