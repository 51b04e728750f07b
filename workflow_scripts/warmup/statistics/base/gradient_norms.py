"""Gradient norms as a run logged them: the one way in which the statistics read them.

In: a run's folder. Out: norms [steps done] before any clipping, of the whole network or of a layer group, NaN where the
log has none. Columns are read one at a time: memory is a few columns, whatever the length of a run or its groups.
"""

from types import TracebackType
from typing import Self

import numpy as np
import pyarrow.parquet
from numpy.typing import NDArray

from warmup.errors import DataError
from warmup.statistics.base.run_folders import RunFolder

GLOBAL = "global"
"""Name of the whole network among the groups."""
COLUMN = "gradient_norm"
PREFIX = f"{COLUMN}/"

Norms = NDArray[np.float64]


class NormLog:
    """The norms of one open log; `groups` are its layer groups in the order of the log's columns."""

    def __init__(self, run: RunFolder) -> None:
        self._log = pyarrow.parquet.ParquetFile(run.log)
        names = self._log.schema_arrow.names
        if COLUMN not in names:
            self._log.close()
            raise DataError(f"{run.log}: has no column {COLUMN}")
        self.groups = [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]

    def of(self, group: str = GLOBAL) -> Norms:
        """Norms [steps done] of a layer group, or of the whole network."""
        name = COLUMN if group == GLOBAL else f"{PREFIX}{group}"
        column = self._log.read(columns=[name], use_threads=False).column(0)
        return np.asarray(column.to_numpy(), dtype=np.float64)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log.close()


def of_run(run: RunFolder) -> Norms:
    """Norms [steps done] of the whole network."""
    with NormLog(run) as log:
        return log.of()
