"""Rule rewarming: runs that go on from another one -> whether they need another warmup, contrast by contrast."""

from typing import Any

import polars

from warmup import files
from warmup.job import run_job
from warmup.plots import recipes, style
from warmup.statistics.rewarming import branches


def main(job: Any) -> None:
    settings, runs = job.params.settings, polars.read_parquet(job.input[0])
    table = branches.rewarming(runs, settings["branches"], settings)
    files.write_table(table, *job.output.table)
    style.save(recipes.rewarming(table, settings["words"]), job.output.figure)


run_job(main, snakemake)
