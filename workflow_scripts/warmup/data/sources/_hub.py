"""Data sets in Parquet form, by the library `datasets`: streamed from its hub or from local copies of the files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup.errors import DataError

if TYPE_CHECKING:
    import datasets


def local_files(path: str, prefix: str, source: str) -> list[Path]:
    """`path` itself, or the Parquet files of the folder `path` (at any depth) whose names begin with `prefix`."""
    root = Path(path)
    if root.is_file():
        return [root]
    files = sorted(root.rglob(f"{prefix}*.parquet"))
    if not files:
        what = f"has no file {prefix}*.parquet" if root.is_dir() else "does not exist"
        raise DataError(f"source {source}: path {path} {what}; it should be a Parquet file or a folder of them")
    return files


def sizes(files: Sequence[Path]) -> dict[str, str]:
    """Names and sizes of `files`: what is recorded of inputs that are too large to be hashed each time."""
    return {file.name: f"{file.stat().st_size} bytes" for file in files}


def stream(
    source: str, dataset: str, revision: str | None, split: str, files: Sequence[Path] | None
) -> "datasets.IterableDataset":
    """Rows of the split `split` of `dataset`, or of the Parquet `files` instead, read as they are asked for."""
    import datasets  # slow to import, and only needed for data sets of this kind

    try:
        if files is not None:
            return datasets.load_dataset(
                "parquet", data_files={split: [str(file) for file in files]}, split=split, streaming=True
            )
        return datasets.load_dataset(dataset, revision=revision, split=split, streaming=True)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise unreachable(source, dataset, files, error) from error


def rows(source: str, dataset: str, files: Sequence[Path] | None, stream: Any) -> Iterator[dict[str, Any]]:
    """The rows of `stream`; a connection that breaks or a file that cannot be read is a DataError."""
    import pyarrow

    try:
        yield from stream
    except (OSError, RuntimeError, pyarrow.ArrowException) as error:
        raise unreachable(source, dataset, files, error) from error


def require_columns(source: str, stream: Any, columns: Sequence[str]) -> None:
    """A DataError if a row of `stream` lacks one of `columns`."""
    present = stream.column_names or list(next(iter(stream), {}))
    absent = [name for name in columns if name not in present]
    if absent:
        raise DataError(
            f"source {source}: no column {', '.join(map(repr, absent))}; "
            f"the columns are {', '.join(map(repr, present))}"
        )


def unreachable(source: str, dataset: str, files: Sequence[Path] | None, error: Exception) -> DataError:
    """What to tell the user when rows could not be read."""
    reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    if files is not None:
        return DataError(f"source {source}: {', '.join(map(str, files))} could not be read as Parquet [{reason}]")
    return DataError(
        f"source {source}: the data set {dataset} could not be read; prepare this task on a node with internet "
        f"(without HF_HUB_OFFLINE), or set the source's `path` to a copy of its Parquet files [{reason}]"
    )
