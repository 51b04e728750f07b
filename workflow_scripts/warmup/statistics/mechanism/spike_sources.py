"""Where the gradient spike comes from: which layer group attains it, and at which step.

In: the spike ratio table. Out: one row per cell and layer group that attained the global spike of a no-warmup run.
"""

import polars

from warmup.statistics.base.intervals import wilson
from warmup.statistics.base.outcomes import CELL


def spike_sources(spikes: polars.DataFrame, confidence: float) -> polars.DataFrame:
    """Per cell: in how many no-warmup runs each layer group has the largest norm at the step of the global spike.

    share, with its Wilson interval, is of the runs whose spike step is known; earliest, median and latest are the steps
    of the spike in the runs of that row; at_start counts those at step 0, which are a property of the initial weights.
    """
    rows = []
    known = spikes.filter(
        polars.col("warmup") == 0, polars.col("group") == "global", polars.col("attained_by").is_not_null()
    )
    for names, cell in known.group_by(CELL, maintain_order=True):
        for (group,), part in cell.group_by("attained_by", maintain_order=True):
            steps = part["spike_step"]
            share = wilson(part.height, cell.height, confidence)
            rows.append(
                dict(zip(CELL, names, strict=True))
                | {"group": group, "runs": part.height, "of": cell.height}
                | share.columns("share")
                | {"earliest": steps.min(), "median": steps.median(), "latest": steps.max()}
                | {"at_start": int((steps == 0).sum())}
            )
    return polars.DataFrame(rows, schema=SCHEMA, orient="row").sort(*CELL, "runs", descending=[False] * 3 + [True])


SCHEMA: dict[str, polars.DataType | type[polars.DataType]] = {
    **dict.fromkeys(CELL, polars.String),
    "group": polars.String,
    "runs": polars.Int64,
    "of": polars.Int64,
    **dict.fromkeys(("share", "share_low", "share_high"), polars.Float64),
    "earliest": polars.Int64,
    "median": polars.Float64,
    "latest": polars.Int64,
    "at_start": polars.Int64,
}
