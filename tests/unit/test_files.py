"""Files are written whole, and tables say which version of the columns they have."""

from pathlib import Path

import polars
import pyarrow
import pyarrow.parquet
import pytest

from warmup import files


def version(path: Path) -> bytes | None:
    return (pyarrow.parquet.read_metadata(path).metadata or {}).get(b"warmup_sweep_tables")


def test_every_parquet_table_carries_the_version_of_its_columns(tmp_path: Path) -> None:
    files.write_table(polars.DataFrame({"x": [1.0]}), tmp_path / "statistics.parquet", tmp_path / "statistics.csv")
    files.write_parquet(pyarrow.table({"x": [1.0]}), tmp_path / "log.parquet")
    expected = files.TABLES_VERSION.encode()
    assert version(tmp_path / "statistics.parquet") == version(tmp_path / "log.parquet") == expected
    assert polars.read_parquet(tmp_path / "statistics.parquet")["x"].to_list() == [1.0]


def test_a_table_keeps_its_own_metadata_beside_the_version(tmp_path: Path) -> None:
    table = pyarrow.table({"x": [1.0]}).replace_schema_metadata({"coordinates": "here"})
    files.write_parquet(table, tmp_path / "log.parquet")
    assert pyarrow.parquet.read_schema(tmp_path / "log.parquet").metadata[b"coordinates"] == b"here"


def test_what_fails_while_it_is_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    files.write_json({"loss": 1.0}, path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        files.write_json({"loss": float("nan")}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
