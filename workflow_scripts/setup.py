"""Rule setup: configuration and versions -> a page of the report."""

from typing import Any

from warmup import adapters, setup_page


def main(job: Any) -> None:
    setup_page.write(job.params.settings["settings"], job.output[0])


adapters.run(main, snakemake)
