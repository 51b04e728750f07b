"""Writing results: whole or not at all, encoded the same way everywhere."""

import hashlib
import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars
    import pyarrow


TABLES_VERSION = "2"
"""Version of the columns of all tables, in each Parquet file's metadata as `warmup_sweep_tables` (CHANGELOG.md)."""


def replace_atomically(path: str | Path, write: Any) -> None:
    """Call `write(temporary path)`, make it durable, and put it in place of `path` in one step.

    The temporary file has one name per `path`: what a killed process left is overwritten by the next.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        write(temporary)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(value: Mapping[str, Any], path: str | Path) -> None:
    """`value` as indented, key-sorted JSON; NaN and infinities are refused, since JSON has none."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
    replace_atomically(path, lambda temporary: temporary.write_text(text))


def write_parquet(table: "pyarrow.Table", path: str | Path) -> None:
    """`table` as Parquet, encoded as measured smallest (benchmarks/synthesise_logs.py): zstd over floats split by byte
    and over differences of whole numbers, a dictionary for text alone."""
    import pyarrow.parquet  # not before: an eighth of a second of every step of the analysis, which does without

    encodings = {}
    for field in table.schema:
        if pyarrow.types.is_floating(field.type):
            encodings[field.name] = "BYTE_STREAM_SPLIT"
        elif pyarrow.types.is_integer(field.type):
            encodings[field.name] = "DELTA_BINARY_PACKED"
    texts = [field.name for field in table.schema if pyarrow.types.is_string(field.type)]
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), "warmup_sweep_tables": TABLES_VERSION})
    replace_atomically(
        path,
        lambda temporary: pyarrow.parquet.write_table(
            table,
            temporary,
            compression="zstd",
            compression_level=3,
            use_dictionary=texts or False,
            column_encoding=encodings or None,
        ),
    )


def write_table(frame: "polars.DataFrame", *paths: str | Path) -> None:
    """A statistics table at every path given, `.parquet` or `.csv` by its ending (lists become JSON text in CSV)."""
    for path in map(Path, paths):
        if path.suffix == ".parquet":
            metadata = {"warmup_sweep_tables": TABLES_VERSION}
            replace_atomically(path, partial(frame.write_parquet, compression="zstd", metadata=metadata))
        elif path.suffix == ".csv":
            import polars  # not before: trainings write no such table, and are forked without polars' threads

            flat = frame.with_columns(
                polars.col(name).map_elements(lambda cell: json.dumps(cell.to_list()), return_dtype=polars.String)
                for name, kind in frame.schema.items()
                if isinstance(kind, polars.List)
            )
            replace_atomically(path, flat.write_csv)
        else:
            raise ValueError(f"{path}: a table is written as .parquet or .csv")


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
