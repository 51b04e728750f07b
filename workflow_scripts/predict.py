"""Rule predict: a finished study and short probe runs -> predicted warmup for architectures that were not swept."""

import logging
from pathlib import Path
from typing import Any

import polars

from warmup import files, html_page
from warmup.job import run_job
from warmup.plots import pages
from warmup.statistics.prediction import diagnostics, prediction


def main(job: Any) -> None:
    settings = job.params.settings
    names = ("runs", "diagnostics", "leaderboard", "held_out", "plateaus")
    tables = {name: polars.read_parquet(getattr(job.input, name)) for name in names}
    folders = [Path(path).parent for path in job.input.log]
    found = prediction.predict(**tables, probes=diagnostics.diagnostic_table(folders, settings), settings=settings)
    files.write_json({"predictions": found}, job.output.json)
    files.write_table(prediction.table(found), *job.output.table)
    html_page.save(pages.predictions(found, settings["labels"]), job.output.page)
    for one in found:
        logging.getLogger("warmup").info(one["advice"])


run_job(main, snakemake)
