"""Rule mechanism: logs and probes of runs without warmup, spike ratios -> probe curves, lead and lag, spike sources."""

from pathlib import Path
from typing import Any

import polars

from warmup import files
from warmup.job import run_job
from warmup.statistics.mechanism import mechanism, spike_sources


def main(job: Any) -> None:
    confidence = job.params.settings["confidence"]
    folders = [Path(path).parent for path in job.input.log]
    files.write_table(mechanism.probe_curves(folders), job.output.curves)
    files.write_table(mechanism.norm_curves(folders), job.output.norms)
    files.write_table(mechanism.matrices(folders), job.output.matrices)
    order = mechanism.entropy_order(folders)
    files.write_table(order, *job.output.runs)
    files.write_table(mechanism.order_summary(order, confidence), *job.output.order)
    sources = spike_sources.spike_sources(polars.read_parquet(job.input.spikes), confidence)
    files.write_table(sources, *job.output.sources)


run_job(main, snakemake)
