"""The user's own series: a CSV with a column of dates and one numeric column a channel."""

from collections.abc import Mapping
from typing import Any

from warmup import files
from warmup.data.sources import _tables
from warmup.data.sources._common import Credit, Series, existing_file, required_path

KIND = "forecasting"
CREDIT = Credit(name="The user's own series", licence="as stated by the user", address="")
DEFAULTS: dict[str, Any] = {
    "path": None,
    **_tables.READING,
    "split": [0.7, 0.1, 0.2],
}


def load(options: Mapping[str, Any]) -> Series:
    """The channels in the order of `columns` (or of the file), rows in the order of time."""
    path = existing_file(required_path(options, "csv_file"), "csv_file")
    return _tables.series(path, options, "csv_file", files.sha256(path))
