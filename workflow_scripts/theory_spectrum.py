"""Rule theory_spectrum: landscapes of the configuration -> spectra, amplitudes, strong points."""

from typing import Any

from warmup import adapters
from warmup.theory import study


def main(job: Any) -> None:
    study.save(study.spectra(job.params.settings), dict(job.output.items()))


adapters.run(main, snakemake)
