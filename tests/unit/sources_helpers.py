"""Small files in the formats of the sources, and prepared folders read back; shared by the tests of the sources."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray
from PIL import Image

from warmup.data.preparation import prepare

ROOT = Path(__file__).resolve().parents[2]
SETTINGS: dict[str, dict[str, Any]] = {
    "language": {"sequence_length": 8},
    "classification": {},
    "forecasting": {"context": 96, "horizon": 24},
}


def prepared(folder: Path, kind: str, source: Mapping[str, Any], tokens: int | None = None, **settings: Any) -> Path:
    """The folder `folder / "data"`, prepared."""
    prepare({"kind": kind, "source": source, **SETTINGS[kind], **settings}, folder / "data", tokens)
    return folder / "data"


def facts(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "data.json").read_text())


def array(folder: Path, name: str) -> NDArray[Any]:
    return np.load(folder / f"{name}.npy", mmap_mode="r")


def documents_of(tokens: NDArray[Any]) -> list[str]:
    """Byte tokens back to documents."""
    return bytes(tokens).decode().split("\0")[:-1]


def png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(buffer, format="PNG")
    return buffer.getvalue()


def pictures(count: int, side: int = 4, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """Random pictures, every one different."""
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, channels), dtype=np.uint8)


def write_image_parquet(
    path: Path,
    images: Sequence[NDArray[np.uint8]],
    labels: Sequence[Any],
    columns: tuple[str, str] = ("image", "label"),
) -> None:
    """Pictures the way the hub of `datasets` stores them: a struct of encoded bytes and a path."""
    encoded = [{"bytes": png(image), "path": None} for image in images]
    pyarrow.parquet.write_table(pyarrow.table({columns[0]: encoded, columns[1]: labels}), path)


def hours(count: int, start: str = "2016-07-01 00:00:00") -> list[str]:
    first = datetime.fromisoformat(start)
    return [str(first + timedelta(hours=hour)) for hour in range(count)]


def write_series(path: Path, values: NDArray[np.float64], dates: Sequence[str] | None = None) -> None:
    """A CSV like ETTh1: date and one column a channel."""
    columns = {f"channel {index}": values[:, index] for index in range(values.shape[1])}
    polars.DataFrame({"date": dates or hours(len(values)), **columns}).write_csv(path)


def daily(rows: int, channels: int = 2, seed: int = 0) -> NDArray[np.float64]:
    """Noise around a daily rhythm, levels and scales different by channel, with a trend that sets the parts apart."""
    hour = np.arange(rows)[:, np.newaxis]
    noise = np.random.default_rng(seed).normal(size=(rows, channels))
    rhythm = np.sin(2 * np.pi * (hour + np.arange(channels)) / 24)
    return (np.arange(channels) + 1) * (10 + 3 * rhythm + noise + hour / rows)


def windows(series: NDArray[Any], context: int = 96, horizon: int = 24) -> tuple[NDArray[Any], NDArray[Any]]:
    """All windows of a prepared part: pasts [n, channels, context] and futures [n, channels, horizon], float64."""
    both = np.lib.stride_tricks.sliding_window_view(series.astype(np.float64), context + horizon, axis=0)
    return both[..., :context], both[..., context:]


def in_fresh_python(code: str, **environment: str) -> str:
    """What `code` prints in a Python of its own that finds the package."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow_scripts"), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
