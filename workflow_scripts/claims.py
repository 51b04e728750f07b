"""Rule claims: statistics tables -> the papers' claims with their verdicts, as a table and as a page."""

from typing import Any

import polars

from warmup import files, html_page
from warmup.job import run_job
from warmup.plots import pages
from warmup.statistics.words import claims


def main(job: Any) -> None:
    settings = job.params.settings
    tables = {name: polars.read_parquet(path) for name, path in zip(settings["tables"], job.input, strict=True)}
    found = claims.claims_table(settings["claims"], tables, settings)
    files.write_table(found, *job.output.table)
    html_page.save(pages.claims(found), job.output.page)


run_job(main, snakemake)
