"""Rule recipe_figures: tables of arms, losses and caps -> figures that set recipes against each other."""

from typing import Any

import polars

from warmup.job import run_job
from warmup.plots import recipes, style


def main(job: Any) -> None:
    tables = {name: polars.read_parquet(path) for name, path in job.input.items()}
    paths = dict(job.output.items())
    for name, drawing in recipes.figures(tables, job.params.settings["words"]).items():
        style.save(drawing, paths[name])


run_job(main, snakemake)
