"""Rule optima: runs table -> arms, optima, plateau sets with regrets, cross-fitted advantages."""

from typing import Any

import polars

from warmup import adapters, records
from warmup.statistics import optimum, outcomes, plateau


def main(job: Any) -> None:
    runs, settings = polars.read_parquet(job.input[0]), job.params.settings
    records.write_table(outcomes.arms(runs, settings["outcome"], settings["confidence"]), *job.output.arms)
    records.write_table(optimum.optima(runs, settings), *job.output.optima)
    records.write_table(optimum.crossfit(runs, settings), *job.output.crossfit)
    plateaus, regrets = plateau.plateaus(runs, settings)
    records.write_table(plateaus, *job.output.plateaus)
    records.write_table(regrets, *job.output.regrets)


adapters.run(main, snakemake)
