"""Rule validation_errors: runs table and validations of every run -> sampling errors of differences between warmups."""

from typing import Any

import polars

from warmup import files
from warmup.job import run_job
from warmup.statistics.effect import validation


def main(job: Any) -> None:
    runs = polars.read_parquet(job.input.runs)
    found = validation.validation_errors(runs, job.input[:-1], job.params.settings)
    files.write_table(found, *job.output)


run_job(main, snakemake)
