"""Rules train and probe_run: prepared data -> the files of one run."""

from pathlib import Path
from typing import Any

from warmup import adapters, startup

with startup.no_collection():
    from warmup import training


def main(job: Any) -> None:
    training.run(
        settings=job.params.settings,
        data=Path(job.input.data).parent,
        folder=Path(job.output.summary).parent,
        operation=training.Operation(
            checkpoints=Path(job.resources.checkpoints),
            checkpoint_minutes=float(job.resources.checkpoint_minutes),
            checkpoint_steps=int(job.resources.checkpoint_steps) or None,
            progress_seconds=float(job.resources.progress_seconds),
        ),
    )


with startup.quick_exit():
    adapters.run(main, snakemake)
