"""Rule prepare_data: a task's source -> a folder of arrays."""

from pathlib import Path
from typing import Any

from warmup.data import preparation
from warmup.job import run_job


def main(job: Any) -> None:
    settings = job.params.settings
    preparation.prepare(settings, Path(job.output[0]).parent, settings["tokens_needed"])


run_job(main, snakemake)
