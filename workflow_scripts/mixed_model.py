"""Rule mixed_model: runs table -> tests, effects and variances of the mixed model."""

from typing import Any

import polars

from warmup import files
from warmup.job import run_job
from warmup.statistics.effect import mixed_model


def main(job: Any) -> None:
    runs = polars.read_parquet(job.input[0])
    files.write_table(mixed_model.mixed_model(runs, job.params.settings), *job.output)


run_job(main, snakemake)
