"""What the tables of 840 runs cost, table by table: everything that is computed from runs and validations, logs aside.

Logs cost the rest (case_logs.py); together the statistics of the published study may take three minutes on two cores.
Runs are drawn with known truth (tests/known_truth), validations have as many examples as the paper's images, the most.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars
import pyarrow

from benchmarks.measure import REPOSITORY, Machine, Row, single

sys.path.append(str(REPOSITORY / "tests"))

from known_truth.simulation import GRID, Design, planted_optimum, runs
from statistics_settings import statistics

from warmup import files
from warmup.statistics.base import nulls, outcomes, validation
from warmup.statistics.effect import comparisons, mixed_model, optimum, plateau, power

EXAMPLES = 5000
SECONDS_GOAL = 90.0
"""Three minutes less what the logs may take."""


def rows(_machine: Machine) -> Iterator[Row]:
    """Processor seconds of one thread for all tables together, over the limit."""
    table = study()
    with tempfile.TemporaryDirectory() as folder:
        evaluations = validated(table, Path(folder))
        seconds = {name: timed(make) for name, make in tables(table, evaluations).items()}
    for name, one in seconds.items():
        print(f"{name:<20} {one:6.1f} s", flush=True)
    total = sum(seconds.values())
    case = f"tables of {table.height} runs, logs aside"
    yield single(case, f"{total:.0f} s of processor", f"limit {SECONDS_GOAL:.0f} s", total / SECONDS_GOAL, 1.0)


def study() -> polars.DataFrame:
    """Runs of the published grid: four architectures, three tasks, seven warmups, ten seeds."""
    design = Design(architectures=4, tasks=3, seeds=10, regret=planted_optimum(GRID, 0.05, 0.1))
    return runs(design).with_columns(validation_stretches=polars.lit(EXAMPLES, polars.Int64))


def validated(table: polars.DataFrame, folder: Path) -> list[Path]:
    """evaluation.parquet of every run."""
    losses = np.random.default_rng(0).normal(2.0, 1.0, EXAMPLES).astype(np.float32)
    content = pyarrow.table({"step": [0, 1], "loss": [9.0, 2.0], "example_losses": [None, losses]})
    paths = []
    for row in table.select(outcomes.COORDINATES).iter_rows(named=True):
        where = {axis: f"{value:g}" if axis == "warmup" else str(value) for axis, value in row.items()}
        paths.append(folder / f"{len(paths)}.parquet")
        files.write_parquet(content.replace_schema_metadata({"coordinates": json.dumps(where)}), paths[-1])
    return paths


def tables(table: polars.DataFrame, evaluations: list[Path]) -> dict[str, Callable[[], object]]:
    """What makes each table."""
    settings = statistics()
    sets, _ = plateau.plateaus(table, settings)
    return {
        "arms": lambda: outcomes.arms(table),
        "optima": lambda: optimum.optima(table, settings),
        "advantages": lambda: optimum.crossfit(table, settings),
        "plateaus": lambda: plateau.plateaus(table, settings),
        "validation errors": lambda: validation.validation_errors(table, sets, evaluations, settings),
        "comparisons": lambda: comparisons.comparisons(table, settings),
        "pairs of arms": lambda: comparisons.pairwise(table, settings),
        "power": lambda: power.power_table(table, settings),
        "mixed model": lambda: mixed_model.mixed_model(table, settings),
    }


def timed(make: Callable[[], object]) -> float:
    """Processor seconds, with nothing kept from another table: each rule is a process of its own."""
    for kept in (nulls.null_distribution, nulls.simulate):
        kept.cache_clear()
    started = time.process_time()
    make()
    return time.process_time() - started
