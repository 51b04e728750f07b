"""Rule check_models: every model of the study built once, before anything is trained."""

from typing import Any

from warmup import adapters, records
from warmup.architectures import checks


def main(job: Any) -> None:
    records.write_json(
        checks.check(job.params.settings, dict(zip(job.params.settings["tasks"], job.input.data, strict=True))),
        job.output[0],
    )


adapters.run(main, snakemake)
