"""Rule units: runs of corners (horizon, batch, beta2) -> warmups that other corners choose, by unit, and their cost."""

from typing import Any

import polars

from warmup import files
from warmup.job import run_job
from warmup.plots import prediction, style
from warmup.statistics.unit import units


def main(job: Any) -> None:
    settings, runs = job.params.settings, polars.read_parquet(job.input[0])
    tables = units.unit_tables(runs, settings["corners"], settings)
    for name, table in tables.items():
        files.write_table(table, *job.output[name])
    style.save(prediction.unit_curves(tables, settings["labels"]), job.output.figure)


run_job(main, snakemake)
