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
    """Turn an out-of-memory error into one that names the memory, the run, its batch and the keys to change."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and "can't allocate memory" not in str(error):
            raise
        device = settings["training"]["device"]
        where = "/".join(f"{axis}={value}" for axis, value in settings["coordinates"].items())
        if device == "cuda" and not isinstance(error, torch.OutOfMemoryError):
            raise EnvironmentProblemError(
                f"out of memory (host) in {where}, which computes on a GPU: give the job more host memory; a smaller "
                f"batch would not help (--set-resources train:mem_mb=...; {error})"
            ) from error
        raise EnvironmentProblemError(f"out of memory ({device}) in {where}{_smaller(settings)} ({error})") from error


def _smaller(settings: RunSettings) -> str:
    coordinates, batch = settings["coordinates"], settings["task"]["batch_size"]
    micro = settings["training"]["micro_batch"]
    less = next((size for size in range((micro or batch) // 2, 0, -1) if batch % size == 0), 1)
    return (
        f" with a batch of {batch}{'' if micro is None else f' in parts of {micro}'}: set "
        f"architectures.{coordinates['architecture']}.micro_batch.{coordinates['task']} to {less} (same result up to "
        f"rounding), or lower tasks.{coordinates['task']}.batch_size or its sequence length"
    )
