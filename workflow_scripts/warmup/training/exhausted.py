"""Memory that ran out, host's or GPU's, told with the run and the keys to change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from warmup.errors import EnvironmentProblemError

if TYPE_CHECKING:
    from warmup.settings import RunSettings


@contextmanager
def out_of_memory_explained(settings: RunSettings) -> Iterator[None]:
    """Turn an out-of-memory error of either device into one that names the run, its batch and the keys to change."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and "can't allocate memory" not in str(error):
            raise
        coordinates, task = settings["coordinates"], settings["task"]
        where = "/".join(f"{axis}={value}" for axis, value in coordinates.items())
        micro = settings["training"]["micro_batch"]
        batch = task["batch_size"]
        less = next((size for size in range((micro or batch) // 2, 0, -1) if batch % size == 0), 1)
        key = f"architectures.{coordinates['architecture']}.micro_batch.{coordinates['task']}"
        raise EnvironmentProblemError(
            f"out of memory ({settings['training']['device']}) in {where} with a batch of {batch}"
            f"{'' if micro is None else f' in parts of {micro}'}: set {key} to {less} (same result up "
            f"to rounding), or lower tasks.{coordinates['task']}.batch_size or its sequence length ({error})"
        ) from error
