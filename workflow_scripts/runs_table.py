"""Rule runs_table: the summary of every run -> one table."""

from typing import Any

from warmup import adapters, records, staleness
from warmup.statistics import outcomes


def main(job: Any) -> None:
    settings = job.params.settings
    stale = staleness.stale_runs(settings["expected"])
    table = outcomes.runs_table(job.input, roles=settings["roles"], lineages=settings["lineages"], stale=stale)
    records.write_table(table, *job.output)


adapters.run(main, snakemake)
