"""Rule plan: the stored bill, and what finished runs took, printed."""

from pathlib import Path
from typing import Any

import polars

from warmup.cost import bill, page, reality, tables
from warmup.job import run_job


def main(job: Any) -> None:
    choices = job.params.settings
    rows = tables.bill_of(polars.read_parquet(job.input.bill))
    files = {tuple(cell): [path for path in map(Path, paths) if path.exists()] for cell, paths in choices["resources"]}
    measured = reality.compare(choices["settings"], rows, files)
    totals = bill.totals(choices["settings"], rows)
    print(page.text(choices["settings"]["scale"], rows, totals, measured), flush=True)


run_job(main, snakemake)
