"""Rule prepare_data: a task's source -> a folder of arrays."""

from pathlib import Path
from typing import Any

from warmup import adapters, preparation


def main(job: Any) -> None:
    settings = job.params.settings
    preparation.prepare(settings, Path(job.output[0]).parent, settings["tokens_needed"])


adapters.run(main, snakemake)
