"""Stopping between two steps when a cluster or a person asks for it."""

from __future__ import annotations

import signal
from types import FrameType


class Signals:
    """SIGTERM and SIGINT noted while training, so that the loop can stop between two steps."""

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> Signals:
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
