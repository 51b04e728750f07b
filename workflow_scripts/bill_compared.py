"""Rule bill_compared: the bill and the resources of all runs -> the bill against reality."""

from pathlib import Path
from typing import Any

import polars

from warmup import files, html_page
from warmup.config import grid
from warmup.cost import bill, page, reality, tables
from warmup.job import run_job


def main(job: Any) -> None:
    choices = job.params.settings
    rows = tables.bill_of(polars.read_parquet(job.input.bill))
    resources: dict[tuple[str, str, str], list[Path]] = {}
    for path in map(Path, [*job.input.resources, *job.input.trunks]):
        resources.setdefault(grid.run_at(path.parent)[:3], []).append(path)
    measured = reality.compare(choices["settings"], rows, resources)
    files.write_table(tables.of_measured(measured), *job.output.table)
    content = page.html(choices["settings"]["scale"], rows, bill.totals(choices["settings"], rows), measured)
    html_page.save(content, job.output.page)


run_job(main, snakemake)
