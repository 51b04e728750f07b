"""Rule correlation: spike ratios and runs -> their association, with what it is worth."""

from typing import Any

import polars

from warmup import files
from warmup.job import run_job
from warmup.statistics.correlation import correlation


def main(job: Any) -> None:
    runs, spikes = polars.read_parquet(job.input.runs), polars.read_parquet(job.input.spikes)
    files.write_table(correlation.correlation_table(runs, spikes, job.params.settings), *job.output)


run_job(main, snakemake)
