"""Rule theory_decay: landscapes and their best plateaus -> quench curves, decay map, slowest decays."""

from typing import Any

import polars

from warmup.job import run_job
from warmup.theory import study


def main(job: Any) -> None:
    known = polars.read_parquet(job.input.landscapes)
    study.save(study.quenches_and_decays(job.params.settings, known), dict(job.output.items()))


run_job(main, snakemake)
