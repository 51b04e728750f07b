"""Rule rates: the runs of a study of peak rates -> warmups at a fixed and at their best rate, rates at each warmup."""

from typing import Any

import polars

from warmup import files
from warmup.job import run_job
from warmup.statistics.effect import rates


def main(job: Any) -> None:
    table, answers = rates.rate_tables(polars.read_parquet(job.input[0]), job.params.settings)
    files.write_table(table, *job.output.rates)
    files.write_table(answers, *job.output.answers)


run_job(main, snakemake)
