"""One row per run, and the outcome by which runs are judged.

What comes in: the `summary.json` of every run. What goes out: the runs table; the same runs arranged by cell as Blocks
of warmups and seeds, which is what every estimator takes; one row per arm with its divergence rate.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars

from warmup.errors import DataError
from warmup.statistics.base.blocks import Block, block
from warmup.statistics.base.intervals import Floats, paired_t, wilson

CELL = ("architecture", "task", "recipe")
COORDINATES = (*CELL, "warmup", "seed")

SCHEMA: dict[str, polars.DataType] = {
    "architecture": polars.String(),
    "task": polars.String(),
    "recipe": polars.String(),
    "warmup": polars.Float64(),
    "warmup_steps": polars.Int64(),
    "seed": polars.Int64(),
    "steps": polars.Int64(),
    "status": polars.String(),
    "initial_validation_loss": polars.Float64(),
    "best_validation_loss": polars.Float64(),
    "best_validation_error": polars.Float64(),
    "validation_stretches": polars.Int64(),
    "final_validation_loss": polars.Float64(),
    "final_training_loss": polars.Float64(),
    "best_step": polars.Int64(),
    "metric": polars.String(),
    "best_metric": polars.Float64(),
    "final_metric": polars.Float64(),
    "peak_learning_rate": polars.Float64(),
    "beta2": polars.Float64(),
    "weight_decay": polars.Float64(),
    "parameters": polars.Int64(),
    "role": polars.String(),
    "lineage": polars.String(),
    "stale": polars.Boolean(),
}
"""Columns of the runs table. Losses are null where a run has none (diverged before its first validation)."""

LOSSES = ("best_validation_loss", "final_validation_loss", "final_training_loss")
"""What may be declared as an outcome; all are losses, so smaller is better."""


@dataclass(frozen=True)
class Cell:
    """Runs of one (architecture, task, recipe): a `block` whose arms are warmups, ascending."""

    architecture: str
    task: str
    recipe: str
    role: str
    steps: int
    block: Block
    lineage: str = ""

    @property
    def key(self) -> dict[str, str]:
        """Table cells that name this cell."""
        return {"architecture": self.architecture, "task": self.task, "recipe": self.recipe}

    @property
    def warmups(self) -> Floats:
        """The arms as fractions of training."""
        return np.array(self.block.arms, dtype=np.float64)


def runs_table(
    summaries: Iterable[str | Path],
    *,
    roles: Mapping[str, str] | None = None,
    lineages: Mapping[str, str] | None = None,
    stale: Collection[str] = (),
) -> polars.DataFrame:
    """The runs table (SCHEMA) from `summary.json` files, in their order.

    `roles` gives each architecture's role in the study (default "study"), `lineages` whose relative it is (default: its
    own name); `stale` names summaries made by other code or
    settings than the present ones. A summary that cannot be read, or a run that stands there twice, is a DataError.
    """
    roles, lineages = roles or {}, lineages or {}
    marked = {str(path) for path in stale}
    rows = [_row(Path(path), roles, lineages, str(path) in marked) for path in summaries]
    table = polars.DataFrame(rows, schema=SCHEMA, orient="row")
    twice = table.filter(table.select(COORDINATES).is_duplicated())
    if len(twice):
        named = ", ".join(f"{axis} {twice[axis][0]}" for axis in COORDINATES)
        raise DataError(f"the run of {named} stands twice among the summaries; give each run once")
    return table


def _row(path: Path, roles: Mapping[str, str], lineages: Mapping[str, str], stale: bool) -> list[Any]:
    try:
        summary = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a run's summary ({error}); delete it and run again") from error
    try:
        at, metric = summary["coordinates"], summary["metric"] or {}
        recipe = summary["settings"]["recipe"]
        return [
            at["architecture"],
            at["task"],
            at["recipe"],
            float(at["warmup"]),
            summary["warmup_steps"],
            int(at["seed"]),
            summary["steps"],
            summary["status"],
            *(_number(summary[name]) for name in ("initial_validation_loss", LOSSES[0], "best_validation_error")),
            summary["validation_stretches"],
            *(_number(summary[name]) for name in LOSSES[1:]),
            summary["best_step"],
            metric.get("name"),
            _number(metric.get("best")),
            _number(metric.get("final")),
            float(recipe["peak_learning_rate"]),
            float(recipe["betas"][1]),
            float(recipe["weight_decay"]),
            summary["parameters"],
            roles.get(at["architecture"], "study"),
            lineages.get(at["architecture"], at["architecture"]),
            stale,
        ]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{path}: not the summary of a run ({type(error).__name__}: {error})") from error


def _number(value: float | None) -> float | None:
    """A finite float, else null: a loss that is infinite or not a number is as undefined as a missing one."""
    return None if value is None or not np.isfinite(value) else float(value)


def with_outcome(runs: polars.DataFrame, name: str = "best_validation_loss") -> polars.DataFrame:
    """`runs` with a column `outcome`: the loss `name`; a diverged run counts as min(loss, loss at initialisation).

    So a diverged run is never dropped and never infinite (Wortsman 2309.14322). `final_training_loss` of a diverged run
    is bounded by the same validation loss at initialisation. A finished run without the loss stays null.
    """
    if name not in LOSSES:
        raise ValueError(f"{name!r} is not an outcome; outcomes are {', '.join(LOSSES)}")
    bounded = polars.min_horizontal(name, "initial_validation_loss")  # ignores nulls: no loss counts as initialisation
    return runs.with_columns(
        polars.when(polars.col("status") == "diverged").then(bounded).otherwise(polars.col(name)).alias("outcome")
    )


def cells(runs: polars.DataFrame, outcome: str = "best_validation_loss") -> list[Cell]:
    """Every (architecture, task, recipe) of `runs`, in order of appearance, with its outcomes as a Block.

    `outcome` is one of LOSSES, or another numeric column (a metric), which is then taken as it is.
    """
    table = (
        with_outcome(runs, outcome) if outcome in LOSSES else runs.with_columns(polars.col(outcome).alias("outcome"))
    )
    return [_cell(part) for part in table.partition_by(list(CELL), maintain_order=True)]


def _cell(part: polars.DataFrame) -> Cell:
    first = part.row(0, named=True)
    return Cell(
        architecture=first["architecture"],
        task=first["task"],
        recipe=first["recipe"],
        role=first["role"],
        steps=first["steps"],
        block=block(part, ["warmup"]),
        lineage=first.get("lineage") or first["architecture"],
    )


def steps(runs: polars.DataFrame) -> dict[tuple[str, str, str], int]:
    """Steps of one training of each (architecture, task, recipe)."""
    return {cell[:3]: cell[3] for cell in runs.select(*CELL, "steps").unique().iter_rows()}


def arms(runs: polars.DataFrame, outcome: str = "best_validation_loss", confidence: float = 0.95) -> polars.DataFrame:
    """One row per arm: mean outcome with its own t interval, divergences with their Wilson interval, and failures
    (diverged or collapsed) with theirs.

    `mean_low`, `mean_high` describe the arm alone (seeds not paired); they are for drawing, not for comparing arms.
    """
    rows = []
    for part in with_outcome(runs, outcome).partition_by([*CELL, "warmup"], maintain_order=True):
        first = part.row(0, named=True)
        sample = part["outcome"].drop_nulls().to_numpy()
        mean = paired_t(sample, confidence)
        diverged, collapsed = (int((part["status"] == status).sum()) for status in ("diverged", "collapsed"))
        rows.append(
            {name: first[name] for name in (*CELL, "role", "warmup", "warmup_steps")}
            | {"n": len(sample)}
            | mean.columns("mean")
            | {"sd": float(sample.std(ddof=1)) if len(sample) > 1 else None}
            | {"diverged": diverged, "collapsed": collapsed}
            | wilson(diverged, len(part), confidence).columns("divergence_rate")
            | wilson(diverged + collapsed, len(part), confidence).columns("failure_rate")
            | {"metric": first["metric"], "mean_metric": part["best_metric"].mean(), "note": mean.note}
        )
    return polars.DataFrame(rows, schema=ARMS_SCHEMA)


ARMS_SCHEMA: dict[str, polars.DataType] = {
    **{name: SCHEMA[name] for name in (*CELL, "role", "warmup", "warmup_steps")},
    "n": polars.Int64(),
    "mean": polars.Float64(),
    "mean_low": polars.Float64(),
    "mean_high": polars.Float64(),
    "sd": polars.Float64(),
    "diverged": polars.Int64(),
    "collapsed": polars.Int64(),
    "divergence_rate": polars.Float64(),
    "divergence_rate_low": polars.Float64(),
    "divergence_rate_high": polars.Float64(),
    "failure_rate": polars.Float64(),
    "failure_rate_low": polars.Float64(),
    "failure_rate_high": polars.Float64(),
    "metric": polars.String(),
    "mean_metric": polars.Float64(),
    "note": polars.String(),
}
