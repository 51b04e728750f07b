"""Rule prediction_figures: tables of spikes, correlation and leaderboard -> their figures."""

from typing import Any

import polars

from warmup.job import run_job
from warmup.plots import prediction, style


def main(job: Any) -> None:
    tables = {name: polars.read_parquet(path) for name, path in job.input.items()}
    labels = job.params.settings["labels"]
    paths = dict(job.output.items())
    for name, drawing in prediction.figures(tables, labels).items():
        style.save(drawing, paths[name])
    style.save_interactive(prediction.interactive(tables, labels), "Spike ratio and optimum", paths["interactive"])


run_job(main, snakemake)
