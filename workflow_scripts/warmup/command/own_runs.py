"""A user's own runs as a runs table of the statistics: from CSV, Parquet, or a folder of TensorBoard's event files.

In: a path, and which columns mean what. Out: `OwnRuns`. Whatever cannot be meant is one sentence: an unknown column, a
run that stands there twice, an outcome that is no number and of which nobody said what it counts as.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars

from warmup.errors import DataError, EnvironmentProblemError

CELL_COLUMNS = ("architecture", "task", "recipe")
"""Taken for cells where nobody says otherwise; those that the table has."""
OUTCOME = "value"
"""Column of the outcome in the table that the statistics read: smaller is better."""
HIVE = re.compile(r"([A-Za-z_][\w-]*)=([^/]+)")


@dataclass(frozen=True)
class Meaning:
    """Which column is what. `larger`: a larger outcome is better; `diverged_as`: what a run counts as that has none."""

    cell: tuple[str, ...]
    treatment: str
    seed: str
    outcome: str
    larger: bool = False
    diverged_as: float | None = None


@dataclass(frozen=True)
class OwnRuns:
    """`table`: a runs table (outcome `value`, negated where larger is better), cells named by their values.

    `labels`: what each number in its column `warmup` is called; `numeric`: they are the treatment's own numbers.
    """

    table: polars.DataFrame
    labels: dict[float, str]
    numeric: bool
    without_outcome: int


def read(path: Path, tag: str | None, pattern: str | None, take: str) -> polars.DataFrame:
    """The table as it is, one row per run. `tag`, `pattern`, `take` are for event files (`from_events`)."""
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    if path.is_dir():
        return from_events(path, tag, pattern, take)
    readers = {".csv": polars.read_csv, ".tsv": polars.read_csv, ".parquet": polars.read_parquet}
    if path.suffix not in readers:
        raise DataError(f"{path}: a table is a file that ends in .csv, .tsv or .parquet, or a folder of event files")
    try:
        if path.suffix == ".parquet":
            return polars.read_parquet(path)
        return polars.read_csv(path, separator="\t" if path.suffix == ".tsv" else ",", infer_schema_length=None)
    except (polars.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path}: cannot be read as a table ({error})") from error


def from_events(folder: Path, tag: str | None, pattern: str | None, take: str) -> polars.DataFrame:
    """One row per subfolder with event files: its coordinates, and the `take` ("min", "max", "last") of scalar `tag`.

    Coordinates are the `name=value` parts of its path, or the named groups of the regular expression `pattern`.
    """
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ModuleNotFoundError as error:
        raise EnvironmentProblemError(
            f"{folder}: event files are read with the package tensorboard; pip install tensorboard"
        ) from error
    runs = sorted({path.parent for path in folder.rglob("*tfevents*")})
    if not runs:
        raise DataError(f"{folder}: there are no event files (*tfevents*) below it")
    rows: list[dict[str, float | str | None]] = []
    for run in runs:
        events = EventAccumulator(str(run), size_guidance={"scalars": 0})
        events.Reload()
        tags = events.Tags()["scalars"]
        if tag is None or (tag not in tags and not any(row.get(tag) is not None for row in rows)):
            wanted = "--tag says which scalar is the outcome" if tag is None else f"there is no scalar {tag!r}"
            raise DataError(f"{run}: {wanted}; it has {', '.join(sorted(tags)) or 'none'}")
        values = [float(event.value) for event in events.Scalars(tag)] if tag in tags else []
        finite = [value for value in values if value == value]
        taken = (
            None if not values else values[-1] if take == "last" else {"min": min, "max": max}[take](finite or values)
        )
        where = run.relative_to(folder).as_posix()
        rows.append({**_coordinates(where, pattern), tag: taken})
    return polars.DataFrame(rows, infer_schema_length=None).with_columns(
        polars.col(name).cast(polars.Float64, strict=False)
        for name in dict.fromkeys(key for row in rows for key in row)
        if all(_is_number(row.get(name)) for row in rows)
    )


def _coordinates(where: str, pattern: str | None) -> dict[str, str]:
    if pattern is None:
        found = dict(HIVE.findall(where))
    else:
        match = re.search(pattern, where)
        found = match.groupdict() if match else {}
    if not found:
        how = "name=value parts" if pattern is None else f"a match of --pattern {pattern!r} with named groups"
        raise DataError(
            f"{where}: the folder's path has no {how}; --pattern '(?P<warmup>...)_(?P<seed>...)' reads others"
        )
    return found


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return value is None
    return True


def runs_table(given: polars.DataFrame, meaning: Meaning) -> OwnRuns:
    """The runs table of the statistics; a run without an outcome (empty) is left out and counted.

    Cells of one `task` lend each other the shape of their errors; without such a column each cell stands alone.
    """
    for name in (*meaning.cell, meaning.treatment, meaning.seed, meaning.outcome):
        if name not in given.columns:
            raise DataError(f"column {name!r} is not there; there are {', '.join(given.columns)}")
    if not given.schema[meaning.outcome].is_numeric():
        raise DataError(f"column {meaning.outcome!r} holds text; the outcome has to be a number, or empty")
    kept = given.drop_nulls([meaning.treatment, meaning.seed])
    if kept.is_empty():
        raise DataError(f"no run has both {meaning.treatment!r} and {meaning.seed!r}")
    numeric = kept.schema[meaning.treatment].is_numeric()
    treatments = kept[meaning.treatment].unique().sort().to_list()
    codes = {value: float(value) if numeric else float(place) for place, value in enumerate(treatments)}
    seeds = {value: place for place, value in enumerate(kept[meaning.seed].unique().sort().to_list())}
    task = [name for name in meaning.cell if name == "task"]
    rest = [name for name in meaning.cell if name != "task"]
    table = kept.select(
        _named(rest).alias("architecture"),
        _named(task or rest).alias("task"),
        polars.lit("").alias("recipe"),
        polars.lit("study").alias("role"),
        polars.lit(1).alias("steps"),
        polars.col(meaning.treatment).replace_strict(codes, return_dtype=polars.Float64).alias("warmup"),
        polars.col(meaning.seed).replace_strict(seeds, return_dtype=polars.Int64).alias("seed"),
        polars.col(meaning.outcome).cast(polars.Float64).alias(OUTCOME),
        polars.when(polars.col(meaning.outcome).cast(polars.Float64).is_finite())
        .then(polars.lit("finished"))
        .otherwise(polars.lit("diverged"))
        .alias("status"),
    )
    twice = table.filter(table.select("architecture", "task", "warmup", "seed").is_duplicated())
    labels = {code: _label(value) for value, code in codes.items()}
    if not twice.is_empty():
        first = twice.row(0, named=True)
        seed = next(value for value, place in seeds.items() if place == first["seed"])
        where = ", ".join(filter(None, dict.fromkeys((first["architecture"], first["task"]))))
        raise DataError(
            f"{where or 'the table'} has {meaning.treatment} {labels[first['warmup']]}, seed {seed} twice; one row is "
            "one run: give the column that tells them apart with --cell, or each run once"
        )
    empty = int(table[OUTCOME].null_count())
    table = table.drop_nulls(OUTCOME)
    lost = table.filter(status="diverged").height
    if lost and meaning.diverged_as is None:
        raise DataError(
            f"{lost} runs have a {meaning.outcome} that is no finite number; say what a diverged run counts as with "
            "--diverged-as (such as the loss at initialisation): dropping them would flatter their treatment"
        )
    counted = (
        polars.col(OUTCOME)
        if not lost
        else (polars.when(polars.col("status") == "diverged").then(polars.lit(meaning.diverged_as)).otherwise(OUTCOME))
    )
    sign = -1.0 if meaning.larger else 1.0
    return OwnRuns(table.with_columns((sign * counted).alias(OUTCOME)), labels, numeric, empty)


def _named(columns: Sequence[str]) -> polars.Expr:
    """One text of several columns."""
    if not columns:
        return polars.lit("")
    return polars.concat_str(
        [polars.col(name).cast(polars.String) for name in columns], separator=", ", ignore_nulls=True
    )


def _label(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def default_cell(columns: Sequence[str], used: Sequence[str]) -> Iterator[str]:
    """The columns that name cells where nobody says which."""
    yield from (name for name in CELL_COLUMNS if name in columns and name not in used)
