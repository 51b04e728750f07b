"""Rule spike_ratios: logs of all runs -> spike ratios per run and group, per cell, and the norms of the first steps."""

from pathlib import Path
from typing import Any

from warmup import files
from warmup.job import run_job
from warmup.statistics.prediction import spikes


def main(job: Any) -> None:
    settings = job.params.settings
    folders = [Path(path).parent for path in job.input.log]
    table = spikes.spike_table(folders, settings, job.threads)
    files.write_table(table, *job.output.runs)
    files.write_table(spikes.cell_spike_ratios(table, settings["confidence"]), *job.output.cells)
    files.write_table(spikes.early_norms(folders, settings["figure_steps"]), job.output.early)


run_job(main, snakemake)
