"""Rule claims: statistics tables -> the papers' claims with their verdicts, as a table and as a page."""

from typing import Any

import polars

from warmup import adapters, records
from warmup.plots import pages
from warmup.statistics import claims


def main(job: Any) -> None:
    settings = job.params.settings
    tables = {name: polars.read_parquet(path) for name, path in zip(settings["tables"], job.input, strict=True)}
    found = claims.claims_table(settings["claims"], tables, settings)
    records.write_table(found, *job.output.table)
    pages.save(pages.claims(found), job.output.page)


adapters.run(main, snakemake)
