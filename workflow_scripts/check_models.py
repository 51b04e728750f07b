"""Rule check_models: every model of the study built once, before anything is trained."""

from pathlib import Path
from typing import Any

from warmup import files
from warmup.job import run_job
from warmup.training import startup

with startup.no_collection():
    from warmup.training import model_checks


def main(job: Any) -> None:
    settings = job.params.settings
    folders = {task: str(Path(data).parent) for task, data in zip(settings["tasks"], job.input.data, strict=True)}
    files.write_json(model_checks.check(settings, folders), job.output[0])


with startup.quick_exit():
    run_job(main, snakemake)
