"""Rule comparisons: runs table -> the declared families of comparisons, and what gap the design can detect."""

from typing import Any

import polars

from warmup import adapters, records
from warmup.statistics import comparisons, power


def main(job: Any) -> None:
    runs, settings = polars.read_parquet(job.input[0]), job.params.settings
    records.write_table(comparisons.comparisons(runs, settings), *job.output.comparisons)
    records.write_table(power.power_table(runs, settings), *job.output.power)


adapters.run(main, snakemake)
