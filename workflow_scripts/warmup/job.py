"""What every script of a rule needs: its messages in the rule's log, and a user's mistake told in one line.

`job` is Snakemake's script object (input, output, params, wildcards, log, threads); nothing here imports Snakemake.
"""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from warmup import shipped
from warmup.errors import EnvironmentProblemError, StaleResultError, UserError
from warmup.provenance import code_state

FORMAT = "%(asctime)s %(message)s"


def run_job(main: Callable[[Any], None], job: Any) -> None:
    """Run `main(job)`, logging to `job.log[0]` and to standard error; a UserError ends the job with its message."""
    log = Path(job.log[0]) if job.log else None
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
    with reported(log):
        refuse_other_package(job)
        refuse_changed_code(job)
        main(job)


@contextmanager
def reported(log: Path | None) -> Iterator[None]:
    """Messages inside go to standard error and to the end of the file `log`; an error is told there too (exit 1)."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if log is not None:
        handlers.append(logging.FileHandler(log))
    logging.basicConfig(level=logging.INFO, format=FORMAT, datefmt="%H:%M:%S", handlers=handlers, force=True)
    try:
        yield
    except UserError as error:
        logging.getLogger("warmup").error("error: %s", error)
        sys.exit(1)
    except Exception:
        logging.getLogger("warmup").exception("this is a fault of the workflow, not of your configuration:")
        sys.exit(1)


def refuse_other_package(job: Any) -> None:
    """Raise EnvironmentProblemError if this package is not the one beside the job's script."""
    problem = shipped.shadowed(job.scriptdir)
    if problem:
        raise EnvironmentProblemError(problem)


def refuse_changed_code(job: Any) -> None:
    """Raise StaleResultError if a module changed since Snakemake read it: the result would be recorded as another's.

    Snakemake digests the code once, at its start; a job that waited hours in its queue imports what is there by now.
    """
    code = job.params.get("settings", {}).get("code", {})
    changed = code_state.changed(code) if code else []
    if changed:
        raise StaleResultError(
            f"the code changed while the workflow was running ({', '.join(changed)}); start Snakemake again, "
            "so that results are recorded as what made them"
        )
