"""AdamW^2 beside AdamW: a whole training step of a small GPT-2, by turns."""

from collections.abc import Callable, Iterator

import torch

from benchmarks import adamw2, models
from benchmarks.measure import Machine, Row, interleaved, share_of

GOAL = 1.25


def rows(machine: Machine) -> Iterator[Row]:
    """Seconds of a step with AdamW^2 over those with AdamW."""
    sizes = (models.WIDTH, models.LAYERS, 4, models.VOCABULARY, models.LENGTH)
    (plain, with_adamw), (capped, with_adamw2) = adamw2.pair(*sizes)
    contenders = {"AdamW^2": step(capped, with_adamw2), "AdamW": step(plain, with_adamw)}
    seconds = interleaved(contenders, 3 * machine.rounds, warmups=5)
    yield share_of("GPT-2 training step", seconds, "AdamW^2", "AdamW", GOAL)


def step(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """Forward, backward and update."""
    batch = models.tokens()

    def run() -> None:
        optimizer.zero_grad()
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()

    return run
