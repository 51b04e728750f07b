"""ETTh1: two years of hourly load and oil temperature of an electricity transformer, seven channels."""

import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warmup.data.sources import _tables
from warmup.data.sources._common import Credit, Series, existing_file, verified
from warmup.errors import DataError

KIND = "forecasting"
CREDIT = Credit(
    name="ETTh1 of the Electricity Transformer Dataset (H. Zhou et al., 2021: Informer)",
    licence="CC BY-ND 4.0",
    address="https://github.com/zhouhaoyi/ETDataset",
)
DEFAULTS: dict[str, Any] = {
    "path": None,
    "url": "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/ETTh1.csv",
    "sha256": "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
    "split": [8640, 2880, 2880],
}
TIMEOUT = 60
"""Seconds without an answer after which the address counts as unreachable."""


def load(options: Mapping[str, Any]) -> Series:
    """The file at `path`, or else fetched from `url`; either way its SHA-256 must be `sha256`."""
    if options["path"]:
        path = existing_file(options["path"], "etth1")
        remedy = "fetch it anew, or set the source's `sha256` if another file is meant"
        verified(path, options["sha256"], "etth1", remedy)
        return _tables.series(path, _tables.READING, "etth1", options["sha256"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ETTh1.csv")
        fetch(options["url"], path)
        verified(path, options["sha256"], "etth1", "try again, or set the source's `path` to an unaltered copy")
        return _tables.series(path, _tables.READING, "etth1", options["sha256"])


def fetch(url: str, path: Path) -> None:
    """What is at `url`, written to `path`; a DataError if it cannot be had."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, path.open("wb") as file:
            while block := answer.read(1 << 20):
                file.write(block)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise DataError(
            f"source etth1: {url} could not be fetched ({error}); prepare this task on a node with internet, "
            "or set the source's `path` to a copy of the file"
        ) from error
