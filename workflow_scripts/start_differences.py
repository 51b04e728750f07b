"""Rule start_differences: runs and spike ratios -> authors' against library's start: table, figure, page."""

from typing import Any

import polars

from warmup import files, html_page
from warmup.job import run_job
from warmup.plots import starts as drawings
from warmup.plots import style
from warmup.statistics.effect import start_differences


def main(job: Any) -> None:
    settings = job.params.settings
    runs, spikes = polars.read_parquet(job.input.runs), polars.read_parquet(job.input.spikes)
    found = start_differences.start_differences(runs, spikes, settings["twins"], settings)
    files.write_table(found, *job.output.table)
    style.save(drawings.differences_figure(found, settings["words"]), job.output.figure)
    html_page.save(drawings.differences_page(found, settings["words"]), job.output.page)


run_job(main, snakemake)
