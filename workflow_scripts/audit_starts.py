"""Rule audit_starts: the start of every model of the study, measured before anything is trained."""

from functools import partial
from pathlib import Path
from typing import Any

from warmup import files, kernels
from warmup.architectures import start_audit
from warmup.job import run_job


def main(job: Any) -> None:
    settings = job.params.settings
    folders = {task: str(Path(data).parent) for task, data in zip(settings["tasks"], job.input.data, strict=True)}
    parameters, networks = start_audit.audit(settings, folders, partial(kernels.install, "cpu", 1))
    files.write_table(parameters, *job.output.parameters)
    files.write_table(networks, *job.output.networks)


run_job(main, snakemake)
