"""Rule comparisons: runs table -> the declared families of comparisons, and what gap the design can detect."""

from typing import Any

import polars

from warmup import files
from warmup.job import run_job
from warmup.statistics.effect import comparisons, power


def main(job: Any) -> None:
    runs, settings = polars.read_parquet(job.input[0]), job.params.settings
    files.write_table(comparisons.comparisons(runs, settings), *job.output.comparisons)
    files.write_table(power.power_table(runs, settings), *job.output.power)


run_job(main, snakemake)
