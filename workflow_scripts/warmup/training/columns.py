"""Arrow columns from numpy and Python values, by their buffers.

pyarrow's own conversions import pandas (0.3 s of every run); polars starts a thread when it is imported, which a forked
child would miss.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, chain

import numpy as np
import pyarrow


def numbers(values: np.ndarray) -> pyarrow.Array:
    """Column of an array [rows] of numbers."""
    kind = pyarrow.from_numpy_dtype(values.dtype)
    return pyarrow.Array.from_buffers(kind, len(values), [None, pyarrow.py_buffer(np.ascontiguousarray(values))])


def optional_numbers(values: Sequence[float | None], dtype: type[np.number]) -> pyarrow.Array:
    """Column of numbers, null where there is None."""
    filled = np.array([0 if value is None else value for value in values], dtype)
    content = pyarrow.py_buffer(filled)
    return pyarrow.Array.from_buffers(pyarrow.from_numpy_dtype(filled.dtype), len(values), [_valid(values), content])


def optional_texts(values: Sequence[str | None]) -> pyarrow.Array:
    """Column of text, null where there is None."""
    encoded = [(value or "").encode() for value in values]
    content = pyarrow.py_buffer(b"".join(encoded))
    return pyarrow.Array.from_buffers(pyarrow.large_string(), len(values), [_valid(values), _ends(encoded), content])


def optional_lists(values: Sequence[Sequence[float] | None], dtype: type[np.number]) -> pyarrow.Array:
    """Column of lists of numbers, null where there is None."""
    lists = [value if value is not None else [] for value in values]
    inner = numbers(np.array(list(chain.from_iterable(lists)), dtype))
    kind = pyarrow.large_list(inner.type)
    return pyarrow.Array.from_buffers(kind, len(values), [_valid(values), _ends(lists)], children=[inner])


def _valid(values: Sequence[object]) -> pyarrow.Buffer | None:
    """Bitmap of the values that are not None; None if all are there."""
    present = np.array([value is not None for value in values], bool)
    return None if present.all() else pyarrow.py_buffer(np.packbits(present, bitorder="little"))


def _ends(parts: Iterable[Sequence[object] | bytes]) -> pyarrow.Buffer:
    """Where each part begins and ends in all of them joined."""
    return pyarrow.py_buffer(np.array([0, *accumulate(len(part) for part in parts)], np.int64))
