"""Rule bill: the configuration -> what the study will cost."""

from typing import Any

from warmup import files, html_page
from warmup.cost import page, study, tables
from warmup.job import run_job


def main(job: Any) -> None:
    choices = job.params.settings
    rows, totals = study.reckon(choices)
    files.write_table(tables.of_bill(rows), *job.output.table)
    content = page.html(choices["settings"]["scale"], rows, totals, [])
    html_page.save(content, job.output.page)


run_job(main, snakemake)
