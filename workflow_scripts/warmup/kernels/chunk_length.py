"""Shorter chunks for transformers' chunked recurrences (Mamba-2's state space, the gated delta rule) on a CPU.

They cut a sequence into chunks, pad it to whole ones and compute matrices of chunk x chunk: Mamba-2's chunks of 256
make 256 positions of a text of 64. The length of a chunk changes no value but for rounding, so on a CPU it is what a
CPU is quickest at (docs/LOG.md has the measurement).
"""

import functools
from collections.abc import Callable
from typing import Any

LENGTH = 16
"""Positions of a chunk: 8 and 32 are up to a third slower, 64 up to four times."""


def stand_in(reference: Callable) -> Callable:
    """`reference`, an operator with an option `chunk_size`, with chunks of at most LENGTH positions."""

    @functools.wraps(reference)
    def in_short_chunks(*arguments: Any, chunk_size: int = LENGTH, **options: Any) -> Any:
        return reference(*arguments, chunk_size=min(chunk_size, LENGTH), **options)

    return in_short_chunks
