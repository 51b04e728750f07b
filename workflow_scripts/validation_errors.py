"""Rule validation_errors: runs, plateaus and validations of every run -> how other examples would move differences."""

from typing import Any

import polars

from warmup import files
from warmup.job import run_job
from warmup.statistics.base import validation


def main(job: Any) -> None:
    *evaluations, runs, plateaus = job.input
    frames = [polars.read_parquet(path) for path in (runs, plateaus)]
    found = validation.validation_errors(*frames, evaluations, job.params.settings)
    files.write_table(found, *job.output)


run_job(main, snakemake)
