"""Rule leaderboard: runs, diagnostics, plateau sets -> out-of-sample regret of every predictor."""

from typing import Any

import polars

from warmup import files
from warmup.job import run_job
from warmup.statistics.prediction import leaderboard


def main(job: Any) -> None:
    tables = [polars.read_parquet(path) for path in (job.input.runs, job.input.diagnostics, job.input.plateaus)]
    table, held_out = leaderboard.leaderboard(*tables, job.params.settings)
    files.write_table(table, *job.output.leaderboard)
    files.write_table(held_out, *job.output.held_out)


run_job(main, snakemake)
