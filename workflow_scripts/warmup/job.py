"""What every script of a rule needs: its messages in the rule's log, and a user's mistake told in one line.

`job` is Snakemake's script object (input, output, params, wildcards, log, threads); nothing here imports Snakemake.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from warmup.errors import StaleResultError, UserError

FORMAT = "%(asctime)s %(message)s"


def run_job(main: Callable[[Any], None], job: Any) -> None:
    """Run `main(job)`, logging to `job.log[0]` and to standard error; a UserError ends the job with its message."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if job.log:
        Path(job.log[0]).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(job.log[0], mode="w"))
    logging.basicConfig(level=logging.INFO, format=FORMAT, datefmt="%H:%M:%S", handlers=handlers, force=True)
    try:
        refuse_changed_code(job)
        main(job)
    except UserError as error:
        logging.getLogger("warmup").error("error: %s", error)
        sys.exit(1)
    except Exception:
        logging.getLogger("warmup").exception("this is a fault of the workflow, not of your configuration:")
        sys.exit(1)


def refuse_changed_code(job: Any) -> None:
    """Raise StaleResultError if a module changed since Snakemake read it: the result would be recorded as another's.

    Snakemake digests the code once, at its start; a job that waited hours in its queue imports what is there by now.
    """
    code = job.params.get("settings", {}).get("code", {})
    if not code:
        return
    command = [sys.executable, "-m", "warmup.provenance.code_check"]
    root = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, env=environment, input=json.dumps(code), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the check of the code failed: {done.stderr}")
    changed = json.loads(done.stdout)
    if changed:
        raise StaleResultError(
            f"the code changed while the workflow was running ({', '.join(changed)}); start Snakemake again, "
            "so that results are recorded as what made them"
        )
