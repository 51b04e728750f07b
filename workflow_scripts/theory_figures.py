"""Rule theory_figures: tables of the valley-river model -> its figures."""

from typing import Any

import polars

from warmup.job import run_job
from warmup.plots import style, theory


def main(job: Any) -> None:
    tables = {name: polars.read_parquet(path) for name, path in job.input.items()}
    paths = dict(job.output.items())
    for name, drawing in theory.figures(tables, job.params.settings["labels"]).items():
        style.save(drawing, paths[name])


run_job(main, snakemake)
