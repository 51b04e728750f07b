"""Rule bill: the configuration -> what the study will cost."""

from pathlib import Path
from typing import Any

from warmup import adapters, records
from warmup.cost import page, study, tables


def main(job: Any) -> None:
    choices = job.params.settings
    rows, totals = study.reckon(choices)
    records.write_table(tables.of_bill(rows), *job.output.table)
    content = page.html(choices["settings"]["scale"], rows, totals, [])
    records.replace_atomically(Path(job.output.page), lambda temporary: temporary.write_text(content))


adapters.run(main, snakemake)
