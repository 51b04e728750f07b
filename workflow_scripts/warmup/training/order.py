"""What a training is told, as plain values that fit into JSON, and its execution in the process that is asked.

Nothing heavy is imported before `carry_out`: who only passes an order on stays light.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from warmup.training import startup

if TYPE_CHECKING:
    from warmup.settings import RunSettings


@dataclass(frozen=True)
class Order:
    """One training: settings of the run (`grid.run_settings` and code digests), folders, and how it is operated.

    trunk: the checkpoint that the run begins with, if it continues another one.
    """

    settings: RunSettings
    data: str
    folder: str
    checkpoints: str
    checkpoint_minutes: float
    checkpoint_steps: int | None
    progress_seconds: float
    trunk: str | None = None


@dataclass(frozen=True)
class Operation:
    """How a training is run, which changes nothing in its result."""

    checkpoints: Path
    checkpoint_minutes: float
    checkpoint_steps: int | None
    progress_seconds: float
    start: str = "cold"  # how the process began; or "warm", forked from the study's


def carry_out(order: Order, start: str) -> None:
    """Train; `start` says how this process began ("warm" or "cold") and is only recorded."""
    with startup.no_collection():
        from warmup.training import loop

    loop.run(
        settings=order.settings,
        data=Path(order.data),
        folder=Path(order.folder),
        trunk=Path(order.trunk) if order.trunk else None,
        operation=Operation(
            checkpoints=Path(order.checkpoints),
            checkpoint_minutes=order.checkpoint_minutes,
            checkpoint_steps=order.checkpoint_steps,
            progress_seconds=order.progress_seconds,
            start=start,
        ),
    )
