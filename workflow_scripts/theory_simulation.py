"""Rule theory_simulation: landscapes and their best plateaus -> simulated against reduced expectations."""

from typing import Any

import polars

from warmup.job import run_job
from warmup.theory import study


def main(job: Any) -> None:
    known = polars.read_parquet(job.input.landscapes)
    study.save({"simulation": study.simulations(job.params.settings, known)}, dict(job.output.items()))


run_job(main, snakemake)
