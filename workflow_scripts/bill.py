"""Rule bill: the configuration -> what the study will cost."""

from typing import Any

from warmup import files, html_page
from warmup.cost import page, tables
from warmup.job import run_job
from warmup.training import startup

with startup.no_collection():
    from warmup.cost import study


def main(job: Any) -> None:
    choices = job.params.settings
    rows, totals = study.reckon(choices)
    files.write_table(tables.of_bill(rows), *job.output.table)
    content = page.html(choices["settings"]["scale"], rows, totals, [])
    html_page.save(content, job.output.page)


with startup.quick_exit():
    run_job(main, snakemake)
