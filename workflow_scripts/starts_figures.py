"""Rule starts_figures: the audit of the starts -> a figure, and a page of sentences."""

from typing import Any

import polars

from warmup import html_page
from warmup.job import run_job
from warmup.plots import starts as drawings
from warmup.plots import style
from warmup.statistics.words import starts


def main(job: Any) -> None:
    labels = job.params.settings["labels"]
    parameters, networks = (polars.read_parquet(job.input[name]) for name in ("parameters", "networks"))
    found = starts.starts(parameters, networks, labels)
    style.save(drawings.figure(networks, labels), job.output.figure)
    page = drawings.page([start.sentence for start in found], starts.deviating(parameters), labels)
    html_page.save(page, job.output.page)


run_job(main, snakemake)
