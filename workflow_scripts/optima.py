"""Rule optima: runs table -> arms, optima, plateau sets with regrets, cross-fitted advantages."""

from typing import Any

import polars

from warmup import files
from warmup.job import run_job
from warmup.statistics.base import outcomes
from warmup.statistics.effect import look_records, optimum, plateau


def main(job: Any) -> None:
    runs, settings = polars.read_parquet(job.input[0]), job.params.settings
    files.write_table(outcomes.arms(runs, settings["outcome"], settings["confidence"]), *job.output.arms)
    files.write_table(optimum.optima(runs, settings), *job.output.optima)
    files.write_table(optimum.crossfit(runs, settings), *job.output.crossfit)
    plateaus, regrets = plateau.plateaus(runs, settings)
    if job.input.get("looks"):
        roles = dict(runs.select("architecture", "role").iter_rows())
        records = look_records.read(job.input.looks)
        plateaus, regrets = look_records.plateaus(records, settings["confidence_of_looks"], roles)
    files.write_table(plateaus, *job.output.plateaus)
    files.write_table(regrets, *job.output.regrets)


run_job(main, snakemake)
