"""Rule mechanism: logs and probes of runs without warmup, spike ratios -> probe curves, lead and lag, spike sources."""

from pathlib import Path
from typing import Any

import polars

from warmup import adapters, records
from warmup.statistics import mechanism, spike_sources


def main(job: Any) -> None:
    confidence = job.params.settings["confidence"]
    folders = [Path(path).parent for path in job.input.log]
    records.write_table(mechanism.probe_curves(folders), job.output.curves)
    records.write_table(mechanism.norm_curves(folders), job.output.norms)
    records.write_table(mechanism.matrices(folders), job.output.matrices)
    order = mechanism.entropy_order(folders)
    records.write_table(order, *job.output.runs)
    records.write_table(mechanism.order_summary(order, confidence), *job.output.order)
    sources = spike_sources.spike_sources(polars.read_parquet(job.input.spikes), confidence)
    records.write_table(sources, *job.output.sources)


adapters.run(main, snakemake)
