"""Rule bill_compared: the bill and the resources of all runs -> the bill against reality."""

from pathlib import Path
from typing import Any

import polars

from warmup import adapters, records
from warmup.cost import bill, page, reality, tables


def main(job: Any) -> None:
    choices = job.params.settings
    rows = tables.bill_of(polars.read_parquet(job.input.bill))
    files: dict[tuple[str, str, str], list[Path]] = {}
    for (architecture, task, recipe, *_), path in zip(choices["runs"], job.input.resources, strict=True):
        files.setdefault((architecture, task, recipe), []).append(Path(path))
    measured = reality.compare(choices["settings"], rows, files)
    records.write_table(tables.of_measured(measured), *job.output.table)
    content = page.html(choices["settings"]["scale"], rows, bill.totals(choices["settings"], rows), measured)
    records.replace_atomically(Path(job.output.page), lambda temporary: temporary.write_text(content))


adapters.run(main, snakemake)
