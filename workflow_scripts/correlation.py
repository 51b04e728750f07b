"""Rule correlation: spike ratios and runs -> their association, with what it is worth."""

from typing import Any

import polars

from warmup import adapters, records
from warmup.statistics import correlation


def main(job: Any) -> None:
    runs, spikes = polars.read_parquet(job.input.runs), polars.read_parquet(job.input.spikes)
    records.write_table(correlation.correlation_table(runs, spikes, job.params.settings), *job.output)


adapters.run(main, snakemake)
