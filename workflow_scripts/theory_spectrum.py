"""Rule theory_spectrum: landscapes of the configuration -> spectra, amplitudes, strong points."""

from typing import Any

from warmup.job import run_job
from warmup.theory import study


def main(job: Any) -> None:
    study.save(study.spectra(job.params.settings), dict(job.output.items()))


run_job(main, snakemake)
