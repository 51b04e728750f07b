"""Rule runs_table: the summary of every run -> one table."""

from typing import Any

from warmup import files
from warmup.job import run_job
from warmup.provenance import staleness
from warmup.statistics.base import outcomes


def main(job: Any) -> None:
    settings = job.params.settings
    stale = staleness.stale_runs(settings["expected"])
    table = outcomes.runs_table(job.input, roles=settings["roles"], lineages=settings["lineages"], stale=stale)
    files.write_table(table, *job.output)


run_job(main, snakemake)
