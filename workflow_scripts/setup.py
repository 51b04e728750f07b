"""Rule setup: configuration and versions -> a page of the report."""

from typing import Any

from warmup.job import run_job
from warmup.plots import setup_page


def main(job: Any) -> None:
    setup_page.write(job.params.settings["settings"], job.output[0])


run_job(main, snakemake)
