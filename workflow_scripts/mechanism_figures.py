"""Rule mechanism_figures: tables of probes -> figures of what happened inside runs without warmup."""

from typing import Any

import polars

from warmup.job import run_job
from warmup.plots import mechanism, style


def main(job: Any) -> None:
    tables = {name: polars.read_parquet(path) for name, path in job.input.items()}
    paths = dict(job.output.items())
    for name, drawing in mechanism.figures(tables, job.params.settings["labels"]).items():
        style.save(drawing, paths[name])


run_job(main, snakemake)
