"""Rule why, and a command for any options of snakemake: what would run again, and why.

`snakemake why` explains the plan of its own configuration, `python workflow_scripts/why.py --config seeds=5` any other.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from warmup.job import run_job
from warmup.provenance import why


def main(job: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "configuration.json"
        configuration.write_text(json.dumps(job.config))
        why.main(["--snakefile", job.params.snakefile, "--configfile", str(configuration), "--cores", "1"])


if "snakemake" in globals():
    run_job(main, snakemake)
elif __name__ == "__main__":
    sys.exit(why.main(sys.argv[1:]))
