"""What every script of a rule needs: its messages in the rule's log, and a user's mistake told in one line.

`job` is Snakemake's script object (input, output, params, wildcards, log, threads); nothing here imports Snakemake.
"""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from warmup.errors import UserError

FORMAT = "%(asctime)s %(message)s"


def run(main: Callable[[Any], None], job: Any) -> None:
    """Run `main(job)`, logging to `job.log[0]` and to standard error; a UserError ends the job with its message."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if job.log:
        Path(job.log[0]).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(job.log[0], mode="w"))
    logging.basicConfig(level=logging.INFO, format=FORMAT, datefmt="%H:%M:%S", handlers=handlers, force=True)
    try:
        main(job)
    except UserError as error:
        logging.getLogger("warmup").error("error: %s", error)
        sys.exit(1)
    except Exception:
        logging.getLogger("warmup").exception("this is a fault of the workflow, not of your configuration:")
        sys.exit(1)
