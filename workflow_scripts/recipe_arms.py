"""Rule recipe_arms: runs table and runs -> every arm against the first recipe, loss curves, implied warmup."""

from pathlib import Path
from typing import Any

import polars

from warmup import files
from warmup.job import run_job
from warmup.statistics.effect import recipe_arms


def main(job: Any) -> None:
    settings = job.params.settings
    runs = polars.read_parquet(job.input.runs)
    files.write_table(recipe_arms.recipe_arms(runs, settings["recipes"], settings["statistics"]), *job.output.arms)
    files.write_table(recipe_arms.loss_curves(Path(path).parent for path in job.input.log), job.output.losses)
    caps = recipe_arms.implied_warmup(Path(path).parent for path in job.input.attention)
    files.write_table(caps, *job.output.caps)


run_job(main, snakemake)
