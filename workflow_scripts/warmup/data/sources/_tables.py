"""What sources of series share: a CSV read strictly, gaps and missing values refused or, if short, carried forward."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars
from numpy.typing import NDArray

from warmup.data.sources import _dates
from warmup.data.sources._common import Series
from warmup.errors import DataError

READING: dict[str, Any] = {
    "date_column": "date",
    "date_format": None,
    "columns": None,
    "carry_forward": 0,
    "irregular": False,
}
"""How a CSV is read unless the options of its source say otherwise."""


def read_csv(path: Path, source: str) -> polars.DataFrame:
    """The CSV at `path`, every row read before column types are decided."""
    try:
        frame = polars.read_csv(path, infer_schema_length=None)
    except (polars.exceptions.PolarsError, OSError) as error:
        first = str(error).splitlines()[0]
        raise DataError(f"source {source}: {path} could not be read as CSV with one header line: {first}") from error
    if frame.is_empty():
        raise DataError(f"source {source}: {path} has no rows")
    return frame


def require_columns(frame: polars.DataFrame, names: Sequence[str], source: str) -> None:
    """A DataError if one of `names` is not a column of `frame`."""
    absent = [name for name in names if name not in frame.columns]
    if absent:
        raise DataError(
            f"source {source}: no column {', '.join(map(repr, absent))}; the columns are "
            f"{', '.join(map(repr, frame.columns))}"
        )


def numbers(frame: polars.DataFrame, channels: Sequence[str], carry_forward: int, source: str) -> NDArray[np.float64]:
    """The columns `channels` as float64 [rows, channels], finite.

    Up to `carry_forward` missing values in a row are replaced by the value before them; anything else that is not a
    finite number (text, longer gaps, a gap at the very beginning, infinities) is a DataError that says where.
    """
    require_columns(frame, channels, source)
    for name in channels:
        if not frame.schema[name].is_numeric():
            raise DataError(
                f"source {source}: column {name!r} is not numeric (its first values: {frame[name].head(3).to_list()}); "
                "mend the file, or name the numeric columns in `columns`"
            )
    columns = frame.select(polars.col(name).cast(polars.Float64).fill_nan(None) for name in channels)
    filled = columns.fill_null(strategy="forward", limit=carry_forward) if carry_forward else columns
    values = filled.to_numpy().astype(np.float64, order="C")
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        row, column = (int(index) for index in wrong[0])
        allowed = f"more than {carry_forward} in a row" if carry_forward else "none is allowed"
        raise DataError(
            f"source {source}: {len(wrong)} values are missing or not finite ({allowed}), first in column "
            f"{channels[column]!r}, row {row + 1} after the header; fill them in the file, leave the column out"
            + (", or raise `carry_forward`" if source == "csv_file" else "")
        )
    return values


def series(path: Path, options: Mapping[str, Any], source: str, sha256: str) -> Series:
    """The CSV at `path` read by `options` (date_column, date_format, columns, carry_forward, irregular), checked."""
    frame = read_csv(path, source)
    require_columns(frame, [options["date_column"]], source)
    dates = _dates.parsed(frame[options["date_column"]], options["date_format"], source)
    _dates.require_increasing(dates, source)
    if not options["irregular"]:
        _dates.require_regular(dates, source)
    channels = tuple(options["columns"] or (name for name in frame.columns if name != options["date_column"]))
    values = numbers(frame, channels, options["carry_forward"], source)
    return Series(values=values, channels=channels, inputs={path.name: sha256})
