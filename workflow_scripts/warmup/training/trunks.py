"""Runs that others continue (trunks), and runs that begin where another one ended (branches).

A trunk leaves one file more than other runs, `last.checkpoint`: its weights and its optimiser's state after the last
step. A branch takes the weights, of the optimiser what its recipe says, and the batches that come next; its steps, its
schedule and its rows are its own and begin at 0. So a branch that keeps everything and goes on at the same rate has the
rows that the trunk would have had.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup import optimizers
from warmup.errors import ConfigurationError, StaleResultError
from warmup.training import checkpoints
from warmup.training.checkpoint_folders import LAST, digest

if TYPE_CHECKING:
    from warmup.settings import RunSettings, TrunkSettings
    from warmup.training.loop import Training

RESET = "reset"

logger = logging.getLogger("warmup")


def updates_before(settings: RunSettings) -> int:
    """Updates behind a run when it begins: 0, or those of its trunk."""
    return settings["continues"]["updates_before"] if "continues" in settings else 0


def leave(training: Training, folder: Path) -> None:
    """Write what others continue from into the run's `folder`."""
    state = {
        "model": training.model.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "diverged": training.diverged,
        "untrained_loss": training.untrained_loss,
    }
    checkpoints.write(folder / LAST, digest(training.settings), training.step, state)


def begin(training: Training, path: Path | None, continues: TrunkSettings) -> None:
    """Put `training`, which has not begun, where its trunk ended, whose last checkpoint is `path`.

    A branch of a diverged trunk has diverged before its first step. Raises StaleResultError if the checkpoint is
    missing, damaged or of another run, ConfigurationError if its weights do not fit.
    """
    trunk = _read(path, continues["trunk"])
    try:
        training.model.load_state_dict(trunk["model"])
    except RuntimeError as error:  # names every weight that does not fit, one a line
        first = str(error).splitlines()[-1].strip()
        raise ConfigurationError(
            f"recipes.{training.settings['coordinates']['recipe']}.continues: the network of task "
            f"{continues['task']!r} does not fit this one's ({first}); both need one vocabulary and one shape"
        ) from error
    if continues["optimizer"] != RESET:
        optimizers.take_over(training.optimizer, trunk["optimizer"], continues["optimizer"])
    training.diverged, training.initial_loss = bool(trunk["diverged"]), trunk["untrained_loss"]
    logger.info("begins where %s ended, after %d updates", continues, continues["updates_before"])


def _read(path: Path | None, digest: str) -> dict[str, Any]:
    try:
        if path is None:
            raise ValueError("none was given")
        return checkpoints.read(path, digest)[1]
    except (ValueError, OSError) as error:
        raise StaleResultError(
            f"this run continues another one, whose last checkpoint cannot be used ({path}: {error}); delete it and "
            "start Snakemake again, which trains that run first"
        ) from error
