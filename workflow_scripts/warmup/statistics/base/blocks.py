"""Arms x seeds: the one form in which outcomes are compared.

In: rows of a runs table that share everything but an arm and a seed (see `outcomes.with_outcome`). Out: a `Block`. What
an arm is, its owner says: a warmup (cells), a recipe and warmup (recipe_arms), a plateau height (plateau_heights).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars
from numpy.typing import NDArray

from warmup.statistics.base.intervals import Floats


@dataclass(frozen=True)
class Block:
    """Outcomes `values` [seeds, arms], not-a-number where a run is missing, and who `diverged` [seeds, arms].

    `arms` names the columns, `seeds` the rows. Runs of one seed share initial weights and batches over all arms.
    """

    arms: tuple[Any, ...]
    seeds: NDArray[np.int64]
    values: Floats
    diverged: NDArray[np.bool_]

    @property
    def complete(self) -> Floats:
        """Rows of `values` of the seeds that have every arm: what pairing by seed can use."""
        return self.values[np.isfinite(self.values).all(axis=1)]

    @property
    def missing(self) -> int:
        """How many runs of the grid seeds x arms are absent."""
        return int((~np.isfinite(self.values)).sum())

    @property
    def hopeless(self) -> bool:
        """True where every run present diverged, so that no arm can be preferred."""
        present = np.isfinite(self.values)
        return bool(present.any() and self.diverged[present].all())


def block(part: polars.DataFrame, names: Sequence[str], order: Sequence[Any] = ()) -> Block:
    """The rows of `part` (columns `names`, seed, status, outcome) as a Block; an arm is what stands under `names`.

    One name gives plain arms, several give tuples. Arms stand as in `order` (all of it, even if never run), by default
    ascending.
    """
    labels = [row[0] if len(names) == 1 else row for row in part.select(names).iter_rows()]
    arms = tuple(order) if order else tuple(sorted(set(labels)))
    column = {arm: index for index, arm in enumerate(arms)}
    at = [column[label] for label in labels]
    seeds, row = np.unique(part["seed"].to_numpy(), return_inverse=True)
    values = np.full((len(seeds), len(arms)), np.nan)
    values[row, at] = part["outcome"].cast(polars.Float64).to_numpy()
    diverged = np.zeros(values.shape, dtype=np.bool_)
    diverged[row, at] = (part["status"] == "diverged").to_numpy()
    return Block(arms, seeds, values, diverged)
