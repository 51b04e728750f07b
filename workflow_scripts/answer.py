"""Rule answer: plateaus, regrets and what runs took -> how much warmup is needed, as a table."""

from typing import Any

import polars

from warmup import files
from warmup.job import run_job
from warmup.statistics.base import budgets, outcomes, run_folders
from warmup.statistics.words import needed


def main(job: Any) -> None:
    runs, plateaus, regrets = (polars.read_parquet(job.input[name]) for name in ("runs", "plateaus", "regrets"))
    slopes = budgets.read_slopes(job.input.get("budgets"))
    found = needed.answer(plateaus, regrets, outcomes.steps(runs), run_folders.seconds(job.input.resources), slopes)
    files.write_table(found, *job.output)


run_job(main, snakemake)
