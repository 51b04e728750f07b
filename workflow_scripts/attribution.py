"""Rule attribution: the runs of a study that warms roles apart -> whose warmup it is, contrast by contrast."""

from typing import Any

import polars

from warmup import files
from warmup.job import run_job
from warmup.statistics.attribution import contrasts


def main(job: Any) -> None:
    settings, runs = job.params.settings, polars.read_parquet(job.input[0])
    table = contrasts.attribution(runs, settings["recipes"], settings["lineages"], settings)
    files.write_table(table, *job.output)


run_job(main, snakemake)
