"""Rules train and probe_run: prepared data -> the files of one run."""

from pathlib import Path
from typing import Any

from warmup.job import run_job
from warmup.training import startup

with startup.no_collection():
    from warmup.training import loop


def main(job: Any) -> None:
    loop.run(
        settings=job.params.settings,
        data=Path(job.input.data).parent,
        folder=Path(job.output.summary).parent,
        operation=loop.Operation(
            checkpoints=Path(job.resources.checkpoints),
            checkpoint_minutes=float(job.resources.checkpoint_minutes),
            checkpoint_steps=int(job.resources.checkpoint_steps) or None,
            progress_seconds=float(job.resources.progress_seconds),
        ),
    )


with startup.quick_exit():
    run_job(main, snakemake)
