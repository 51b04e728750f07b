"""Rules orphaned_checkpoints and clean_checkpoints: what no present run would resume from, listed or removed."""

import logging
from typing import Any

from warmup.errors import EnvironmentProblemError
from warmup.job import run_job
from warmup.training import checkpoint_folders

logger = logging.getLogger("warmup")


def main(job: Any) -> None:
    found = checkpoint_folders.orphans(job.params.root, set(job.params.live), job.params.scale)
    for orphan in found:
        said = ""
        if job.params.delete:
            try:
                checkpoint_folders.remove(orphan)
                said = "removed "
            except EnvironmentProblemError as error:
                said = f"kept ({error}) "
        logger.info("%s%s", said, orphan)
    total = sum(orphan.size for orphan in found) / 1e6
    logger.info("%d folders, %.1f MB, that no run of scale %s would resume from", len(found), total, job.params.scale)


run_job(main, snakemake)
