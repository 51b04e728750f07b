"""Rule plateau_heights: runs of warmup-stable-decay recipes -> losses after the same decay, by plateau height."""

from typing import Any

import polars

from warmup import files
from warmup.job import run_job
from warmup.plots import style, theory
from warmup.theory import plateau_heights


def main(job: Any) -> None:
    arms, differences = plateau_heights.compare(polars.read_parquet(job.input.runs), job.params.settings)
    files.write_table(arms, *job.output.arms)
    files.write_table(differences, *job.output.differences)
    style.save(theory.plateau_heights(arms, differences, job.params.settings["labels"]), job.output.figure)


run_job(main, snakemake)
