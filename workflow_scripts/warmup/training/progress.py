"""What a running training says of itself."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warmup.training.loop import Training

logger = logging.getLogger("warmup")


class Progress:
    """Lines a person can follow: step, loss, learning rate, tokens per second, time left."""

    def __init__(self, training: Training, seconds: float) -> None:
        self.training, self.seconds = training, seconds
        self.started, self.first = time.monotonic(), training.step
        self.spoken = self.started

    def say(self, last: bool = False) -> None:
        """Log a line if the last one is `seconds` old."""
        now, training = time.monotonic(), self.training
        if not last and now - self.spoken < self.seconds:
            return
        self.spoken = now
        rate = (training.step - self.first) / max(now - self.started, 1e-9)
        left = (training.last - training.step) / rate if rate else math.inf
        logger.info(
            "step %d/%d  loss %.4f  learning rate %.2e  %s tokens/s  %s left",
            training.step,
            training.last,
            float(training.recorder.losses[max(training.step - 1, 0)]),
            training.rates[max(training.step - 1, 0)],
            f"{rate * training.task.batch_size * training.task.positions:,.0f}",
            f"{int(left // 3600)}:{int(left % 3600 // 60):02d}:{int(left % 60):02d}" if math.isfinite(left) else "?",
        )
