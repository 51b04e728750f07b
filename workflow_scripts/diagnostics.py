"""Rule diagnostics: no-warmup runs -> what their first steps say, per budget."""

from pathlib import Path
from typing import Any

from warmup import adapters, records
from warmup.statistics import diagnostics


def main(job: Any) -> None:
    folders = [Path(path).parent for path in job.input.log]
    records.write_table(diagnostics.diagnostic_table(folders, job.params.settings), *job.output)


adapters.run(main, snakemake)
