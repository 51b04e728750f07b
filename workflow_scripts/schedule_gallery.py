"""Rule schedule_gallery: recipes of the configuration -> their learning rates as one interactive page, and a table."""

from typing import Any

from warmup import files
from warmup.job import run_job
from warmup.plots import schedules, style


def main(job: Any) -> None:
    style.save_interactive(schedules.gallery(job.params.settings), "Schedule gallery", job.output.gallery)
    files.write_table(schedules.common_recipe_table(), job.output.table)


run_job(main, snakemake)
