"""Rule schedule_gallery: recipes of the configuration -> their learning rates as one interactive page, and a table."""

from typing import Any

from warmup import adapters, records
from warmup.plots import schedules, style


def main(job: Any) -> None:
    style.save_interactive(schedules.gallery(job.params.settings), job.output.gallery)
    records.write_table(schedules.common_recipe_table(), job.output.table)


adapters.run(main, snakemake)
