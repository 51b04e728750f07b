"""Rule leaderboard: runs, diagnostics, plateau sets -> out-of-sample regret of every predictor."""

from typing import Any

import polars

from warmup import adapters, records
from warmup.statistics import leaderboard


def main(job: Any) -> None:
    tables = [polars.read_parquet(path) for path in (job.input.runs, job.input.diagnostics, job.input.plateaus)]
    table, held_out = leaderboard.leaderboard(*tables, job.params.settings)
    records.write_table(table, *job.output.leaderboard)
    records.write_table(held_out, *job.output.held_out)


adapters.run(main, snakemake)
