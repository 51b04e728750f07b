"""Rule check_models: every model of the study built once, before anything is trained."""

from pathlib import Path
from typing import Any

from warmup import adapters, records
from warmup.architectures import checks


def main(job: Any) -> None:
    settings = job.params.settings
    folders = {task: str(Path(data).parent) for task, data in zip(settings["tasks"], job.input.data, strict=True)}
    records.write_json(checks.check(settings, folders), job.output[0])


adapters.run(main, snakemake)
