"""What another validation set would move: the sampling error of differences between warmups, beside the margin.

In: the runs table, the margin of each cell, and the validations of every run. Out: one row per arm
(VALIDATION_ERRORS). All other statistics are inference over seeds at fixed validation examples. All runs of a task are
validated on the same examples, so the difference of two warmups is taken example by example and only then averaged:
what is hard for both drops out. Losses are means over seeds first, so that the error is that of the very difference
that regrets and plateaus are about.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pyarrow.parquet

from warmup import stretches
from warmup.errors import DataError
from warmup.statistics.base.intervals import CANNOT_SAY, Floats, t_quantile
from warmup.statistics.base.outcomes import CELL, COORDINATES, SCHEMA, Cell, cells

FEWEST_STRETCHES = 5
"""From fewer stretches of validation examples no error is reckoned."""

Losses = Mapping[tuple[Any, ...], Floats | None]
"""(architecture, task, recipe, warmup, seed) -> losses of the validation examples [examples], None if not kept."""


def validation_errors(
    runs: polars.DataFrame, plateaus: polars.DataFrame, evaluations: Iterable[str | Path], settings: Mapping[str, Any]
) -> polars.DataFrame:
    """One row per arm: how far other validation examples would move its loss and its difference from the best arm.

    `plateaus` has each cell's margin; `evaluations`: evaluation.parquet of every run of `runs`; `settings`: outcome and
    confidence. A run that is missing among them is a DataError.
    """
    outcome = settings["outcome"]
    losses = dict(example_losses(path, outcome) for path in evaluations)
    parts = {row[:3]: row[3] for row in runs.select([*CELL, "validation_stretches"]).unique(CELL).iter_rows()}
    margins = {row[:3]: row[3] for row in plateaus.select([*CELL, "margin"]).iter_rows()}
    rows: list[dict[str, Any]] = []
    for cell in cells(runs, outcome):
        key = tuple(cell.key.values())
        head = cell.key | {"role": cell.role, "margin": margins[key]}
        rows += [head | row for row in _cell(cell, losses, parts[key], margins[key], settings)]
    return polars.DataFrame(rows, schema=VALIDATION_ERRORS)


def example_losses(path: str | Path, outcome: str) -> tuple[tuple[Any, ...], Floats | None]:
    """A run's coordinates and the losses [examples] float64 behind its outcome; None where no validation gave it.

    DataError for a file that is not a run's, or of a version that kept no losses of examples.
    """
    with pyarrow.parquet.ParquetFile(path) as file:
        metadata = file.schema_arrow.metadata or {}
        if "example_losses" not in file.schema_arrow.names:
            raise DataError(
                f"{path}: has no losses of validation examples, as earlier versions left it; train the run again"
            )
        table = file.read(columns=["loss", "example_losses"], use_threads=False).to_pydict()
    try:
        where = json.loads(metadata[b"coordinates"])
        key = (*(where[axis] for axis in CELL), float(where["warmup"]), int(where["seed"]))
    except (KeyError, ValueError) as error:
        raise DataError(f"{path}: not the validations of a run ({type(error).__name__}: {error})") from error
    finite = [(loss, index) for index, loss in enumerate(table["loss"]) if np.isfinite(loss)]
    last = len(table["loss"]) - 1
    at = {"best_validation_loss": min(finite, default=(None, last))[1], "final_validation_loss": last}.get(outcome)
    kept = None if at is None else table["example_losses"][at]
    return key, None if kept is None else np.array(kept, dtype=np.float64)


def _cell(
    cell: Cell, losses: Losses, parts: int | None, margin: float | None, settings: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Rows of the arms of a cell; every row is blank where nothing can be said of any."""
    values, seeds = cell.block.values, cell.block.seeds
    whole = np.isfinite(values).all(axis=1)
    arms = [{"warmup": warmup, "n": int(whole.sum())} for warmup in cell.block.arms]
    try:
        kept = [
            [losses[(*cell.key.values(), warmup, int(seed))] for seed in seeds[whole]] for warmup in cell.block.arms
        ]
    except KeyError as error:
        named = ", ".join(f"{axis} {value}" for axis, value in zip(COORDINATES, error.args[0], strict=True))
        raise DataError(f"the run of {named} has no evaluation.parquet among the inputs") from None
    note = _refusal(kept, parts, settings["outcome"])
    if note or parts is None:
        return [arm | {"verdict": CANNOT_SAY, "note": f"{CANNOT_SAY}: {note}"} for arm in arms]
    of_arms = np.array(kept).mean(axis=1)
    means = values[whole].mean(axis=0)
    best = int(np.argmin(means))
    by_stretch = stretches.means(of_arms, parts)
    own, apart = (each.std(axis=1, ddof=1) / parts**0.5 for each in (by_stretch, by_stretch - by_stretch[best]))
    reach = t_quantile(0.5 + settings["confidence"] / 2.0, parts - 1) * apart
    return [
        arm
        | {"examples": of_arms.shape[1], "stretches": parts, "best": index == best}
        | {"loss_error": float(own[index]), "difference_error": float(apart[index])}
        | {"difference_reach": float(reach[index])}
        | {"beyond_margin": None if margin is None else bool(reach[index] > margin)}
        | {"verdict": "ok", "note": ""}
        for index, arm in enumerate(arms)
    ]


def _refusal(kept: list[list[Floats | None]], parts: int | None, outcome: str) -> str:
    """Why nothing can be said of a cell; empty if something can."""
    if outcome == "final_training_loss":
        return "the outcome is no validation loss"
    if len(kept) < 2:
        return "one warmup only"
    if not kept[0]:
        return "no seed has every warmup"
    if any(losses is None for arm in kept for losses in arm):
        return "a run counts with a loss whose examples were not kept (it diverged)"
    if parts is None or parts < FEWEST_STRETCHES:
        return f"the validation examples lie so close together that they make {parts or 0} independent stretches"
    return ""


VALIDATION_ERRORS: dict[str, polars.DataType] = {
    **{name: SCHEMA[name] for name in (*CELL, "role", "warmup")},
    "n": polars.Int64(),
    "examples": polars.Int64(),
    "stretches": polars.Int64(),
    "loss_error": polars.Float64(),
    "best": polars.Boolean(),
    "difference_error": polars.Float64(),
    "difference_reach": polars.Float64(),
    "margin": polars.Float64(),
    "beyond_margin": polars.Boolean(),
    "verdict": polars.String(),
    "note": polars.String(),
}
"""Columns of the table validation_errors, in the outcome's unit.

`difference_error`: standard error, over validation examples, of this warmup's mean loss less that of the best
(`best`); `difference_reach`: half width of its limits; `beyond_margin`: that is more than the practical margin."""
