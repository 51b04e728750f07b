"""Rules train, probe_run and trunk_run: prepared data (and the trunk's last checkpoint) -> the files of one run."""

from pathlib import Path
from typing import Any

from warmup.job import run_job
from warmup.training import startup
from warmup.training.order import Order
from warmup.training.warm import client


def main(job: Any) -> None:
    order = Order(
        settings=job.params.settings,
        data=str(Path(job.input.data).parent),
        folder=str(Path(job.output.summary).parent),
        trunk=str(job.input.trunk) if job.input.trunk else None,
        checkpoints=job.resources.checkpoints,
        checkpoint_minutes=float(job.resources.checkpoint_minutes),
        checkpoint_steps=int(job.resources.checkpoint_steps) or None,
        progress_seconds=float(job.resources.progress_seconds),
    )
    client.train(order, job.resources.start, Path(job.log[0]))


with startup.quick_exit():
    run_job(main, snakemake)
