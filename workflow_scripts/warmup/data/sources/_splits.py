"""Dividing data into train, validation and test, by shares or by counts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from warmup.errors import DataError

PARTS = ("train", "validation", "test")


def sizes(split: Sequence[float], total: int, what: str, given: Sequence[str] = ()) -> dict[str, int]:
    """How many of `total` go to each part that is not `given` by the source itself.

    `split`: three whole numbers are counts (what is left over stays unused); otherwise they are shares, of which those
    of the parts to be made count in proportion. Raises DataError if a part would be empty or `total` is too small.
    """
    wanted = {part: size for part, size in zip(PARTS, split, strict=True) if part not in given}
    if all(isinstance(size, int) for size in split):
        counts = {part: int(size) for part, size in wanted.items()}
        if sum(counts.values()) > total:
            raise DataError(f"split {list(split)} needs {sum(counts.values())} {what}, the data have {total}")
    else:
        whole = sum(wanted.values())
        counts = {part: round(total * share / whole) if whole else 0 for part, share in wanted.items()}
        counts["train"] = total - sum(count for part, count in counts.items() if part != "train")
    for part, count in counts.items():
        if count < 1:
            raise DataError(f"split {list(split)} of {total} {what} leaves none for {part}")
    return counts


def shuffled(counts: dict[str, int], total: int, seed: int) -> dict[str, NDArray[np.int64]]:
    """Indices of each part after one shuffle of 0 .. total - 1 with the fixed `seed`."""
    order = np.random.default_rng(seed).permutation(total)
    ends = np.cumsum(list(counts.values()))
    return {part: order[end - count : end] for (part, count), end in zip(counts.items(), ends, strict=True)}
