"""Rule looks_table: the records of all looks -> one table, and a page of it."""

from typing import Any

from warmup import files, html_page
from warmup.job import run_job
from warmup.plots import pages
from warmup.statistics.effect import look_records


def main(job: Any) -> None:
    table = look_records.table(look_records.read(job.input))
    files.write_table(table, *job.output.looks)
    html_page.save(pages.looks(table, job.params.settings["labels"]), job.output.page)


run_job(main, snakemake)
