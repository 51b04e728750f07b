"""Dates of a series: parsed, increasing, evenly spaced (in time or in calendar months)."""

import numpy as np
import polars

from warmup.errors import DataError


def parsed(column: polars.Series, form: str | None, source: str) -> polars.Series:
    """`column` as datetimes; `form` is a strftime pattern, or null if the usual ISO forms are to be recognised."""
    if column.null_count():
        row = int(column.is_null().arg_max() or 0)
        raise DataError(f"source {source}: column {column.name!r} has no date in row {row + 1} after the header")
    try:
        dates = column.cast(polars.String).str.to_datetime(form, time_unit="us", strict=False)
    except polars.exceptions.PolarsError:  # no pattern could be recognised at all
        dates = polars.Series(column.name, [None] * len(column), dtype=polars.Datetime("us"))
    if dates.null_count():
        row = int(dates.is_null().arg_max() or 0)
        how = f"of the form {form!r}" if form else "of a form that is recognised; set `date_format`, such as %d.%m.%Y"
        raise DataError(
            f"source {source}: column {column.name!r}, row {row + 1} after the header: {column[row]!r} is no date {how}"
        )
    return dates


def require_increasing(dates: polars.Series, source: str) -> None:
    """A DataError that says where, unless each date is later than the one before it."""
    steps = dates.diff().dt.total_microseconds().to_numpy()[1:]
    wrong = np.flatnonzero(steps <= 0)
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            f"source {source}: {dates[row + 1]} in row {row + 2} after the header is not later than {dates[row]} "
            "before it: sort the rows by date and remove duplicates"
        )


def require_regular(dates: polars.Series, source: str) -> None:
    """A DataError that names the largest gap, unless the dates are evenly spaced (or whole months apart)."""
    steps = dates.diff().dt.total_microseconds().to_numpy()[1:]
    if len(steps) == 0 or (steps == steps[0]).all() or _monthly(dates):
        return
    usual = int(np.median(steps))
    row = int(np.abs(steps - usual).argmax())
    raise DataError(
        f"source {source}: {dates[row + 1]} (row {row + 2} after the header) follows {dates[row]}, but rows are "
        f"usually {_duration(usual)} apart: fill or resample the gap, or set `irregular: true`"
    )


def _monthly(dates: polars.Series) -> bool:
    months = (dates.dt.year() * 12 + dates.dt.month().cast(polars.Int32)).diff().to_numpy()[1:]
    first_days = dates.dt.day().n_unique() == 1
    last_days = bool((dates.dt.month_end() == dates).all())
    return bool((months == months[0]).all()) and months[0] > 0 and (first_days or last_days)


def _duration(microseconds: int) -> str:
    for unit, size in (("day", 86_400_000_000), ("hour", 3_600_000_000), ("minute", 60_000_000)):
        if microseconds % size == 0:
            count = microseconds // size
            return f"{count} {unit}s" if count > 1 else f"one {unit}"
    return f"{microseconds / 1e6:g} seconds"
