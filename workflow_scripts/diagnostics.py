"""Rule diagnostics: no-warmup runs and their spike ratios -> what their first steps say, per budget."""

from pathlib import Path
from typing import Any

import polars

from warmup import files
from warmup.job import run_job
from warmup.statistics.prediction import diagnostics


def main(job: Any) -> None:
    folders = [Path(path).parent for path in job.input.log]
    spikes = polars.read_parquet(job.input.spikes)
    files.write_table(diagnostics.diagnostic_table(folders, job.params.settings, spikes), *job.output)


run_job(main, snakemake)
