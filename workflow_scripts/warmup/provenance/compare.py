"""Two result folders, table by table: what is the same, what differs and by how much (`make compare A=... B=...`).

    python -m warmup.provenance.compare results-before/laptop results-after/laptop

Compares every Parquet table of statistics and theory, and of every run its summary and its logs. What may differ
between two identical runs (seconds, hosts, versions, digests of code) is left out.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars

WHAT_IT_TOOK = frozenset({"bill_compared.parquet"})
"""Tables of nothing but times."""

TIMES = ("seconds", "hours", "minutes", "tokens_per_second", "memory", "disk", "utilisation")
"""Parts of the names of columns that hold what a machine took."""

NOT_IN_RESULTS = frozenset({"code", "versions", "libraries", "settings", "log_sha256"})
"""Keys of a summary that say what made it (the log's metadata do, so its digest does)."""

RUN_TABLES = ("log.parquet", "evaluation.parquet", "attention.parquet")


def compare(before: Path, after: Path) -> Iterator[str]:
    """One line per difference between two folders results/{scale}, in the order of their paths."""
    found = [{path.relative_to(folder): path for path in _files(folder)} for folder in (before, after)]
    for name in sorted(found[0].keys() | found[1].keys()):
        if name not in found[1]:
            yield f"{name}: only in {before}"
        elif name not in found[0]:
            yield f"{name}: only in {after}"
        elif name.suffix == ".parquet":
            yield from (f"{name}: {line}" for line in _tables(found[0][name], found[1][name]))
        else:
            yield from (f"{name}: {line}" for line in _summaries(found[0][name], found[1][name]))


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise SystemExit(f"{folder}: no such folder; name two folders results/<scale>")
    yield from (path for path in folder.glob("studies/*/tables/*.parquet") if path.name not in WHAT_IT_TOOK)
    yield from folder.glob("theory/*.parquet")
    for name in ("summary.json", *RUN_TABLES):
        yield from folder.glob(f"runs/**/{name}")


def _tables(before: Path, after: Path) -> Iterator[str]:
    one, other = polars.read_parquet(before), polars.read_parquet(after)
    yield from (f"column {column} is gone" for column in one.columns if column not in other.columns)
    yield from (f"column {column} is new" for column in other.columns if column not in one.columns)
    if one.height != other.height:
        yield f"{one.height} rows, now {other.height}"
        return
    for column in one.columns:
        if column in other.columns and not any(part in column for part in TIMES):
            yield from _columns(column, one[column], other[column])


def _columns(name: str, before: polars.Series, after: polars.Series) -> Iterator[str]:
    differing = before.to_list()
    pairs = [(x, y) for x, y in zip(differing, after.to_list(), strict=True) if not _same(x, y)]
    if not pairs:
        return
    numbers = [(x, y) for x, y in pairs if isinstance(x, int | float) and isinstance(y, int | float)]
    largest = max((abs(x - y) for x, y in numbers), default=None)
    example = f"{pairs[0][0]!r} is now {pairs[0][1]!r}"
    yield f"{name}: {len(pairs)} of {len(before)} differ ({example}" + (
        f"; at most by {largest:.3g})" if largest is not None else ")"
    )


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) or (one != one and other != other)  # NaN equals itself here


def _summaries(before: Path, after: Path) -> Iterator[str]:
    one, other = (_flat(json.loads(path.read_text())) for path in (before, after))
    for key in sorted(one.keys() | other.keys()):
        if not _same(one.get(key), other.get(key)):
            yield f"{key}: {one.get(key)!r} is now {other.get(key)!r}"


def _flat(summary: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in summary.items():
        if key in NOT_IN_RESULTS:
            continue
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def main(arguments: Iterable[str]) -> int:
    """Print the differences; 0 if there are none, else 1."""
    folders = [Path(argument) for argument in arguments]
    if len(folders) != 2:
        raise SystemExit("name two folders: make compare A=results-before/laptop B=results/laptop")
    lines = list(compare(*folders))
    print(*lines, sep="\n")
    count = sum(1 for _ in _files(folders[0]))
    print(f"{count} files compared, {len(lines)} differences")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
