"""Checkpoint look: the runs of one cell that are open -> what a look at them finds, drops and opens next."""

from typing import Any

from warmup import files
from warmup.job import run_job
from warmup.provenance import differences
from warmup.statistics.effect import look_records


def main(job: Any) -> None:
    summaries, settings = list(job.input.summary), job.params.settings
    record = look_records.take(summaries, int(job.wildcards.look), settings, pilot=job.input.get("pilot"))
    made_from = {
        "summaries": {path: files.sha256(path) for path in summaries},
        "settings": differences.fingerprint(settings),
    }
    files.write_json(record | made_from, job.output[0])  # so that a stale look can be told (staleness.stale_look)


run_job(main, snakemake)
