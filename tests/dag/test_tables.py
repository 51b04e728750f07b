"""docs/tables.yaml describes the tables that a study really writes, column by column, and no other column."""

import ast
import json
import re
import runpy
from collections import defaultdict
from pathlib import Path
from typing import Any

import polars
import pytest
from dag.studies import REPOSITORY, Finished

PAGE = runpy.run_path(str(REPOSITORY / "docs" / "generate.py"))
DESCRIBED: dict[str, dict[str, str]] = PAGE["described"]()
UNWRITTEN = {
    "looks",
    "start_differences",
    "predictions",
    "rates",
    "rate_answers",
    "attribution",
    "plateau_heights",
    "plateau_height_differences",
    "rewarming",
    "unit_curves",
    "unit_choices",
    "unit_regrets",
    "unit_differences",
    "unit_answers",
}
"""Tables that this study has no cause to write; tests/unit/test_tables_page.py looks at these."""
UNWRITTEN_COLUMNS = ("mae", "learning_rate/<role>")
"""Metric of the kind of task that this study lacks, and rates of roles, which no recipe of it tells apart."""


@pytest.fixture(scope="module")
def written(finished: Finished) -> dict[str, dict[str, Any]]:
    """{table: {column: its type, or the value's in JSON}} of all results of the finished study."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    results = finished.folder / "results" / "tiny"
    for path in [*results.rglob("*.parquet"), *results.rglob("theory/*.csv"), *results.rglob("seed=*/*.json")]:
        if path.suffix == ".json":
            columns = {name: type(value) for name, value in json.loads(path.read_text()).items()}
        elif path.suffix == ".csv":
            columns = {} if path.with_suffix(".parquet").exists() else dict(polars.read_csv(path).schema)
        else:
            columns = dict(polars.read_parquet_schema(path))
        if columns:
            found[name_of(path)] |= columns
    return found


def name_of(path: Path) -> str:
    """The name under which docs/tables.yaml describes the file at `path`."""
    if path.parent.name.startswith("seed="):
        return path.name
    return f"theory/{path.stem}" if path.parent.name == "theory" else path.stem


def pattern(name: str) -> str:
    """Regular expression of a described column; <...> stands for any text."""
    return re.sub("<[^>]+>", ".+", re.escape(name))


def test_every_table_and_column_of_a_study_is_described(written: dict[str, dict[str, Any]]) -> None:
    assert set(written) <= set(DESCRIBED)
    unknown = [
        f"{table}: {column}"
        for table, columns in written.items()
        for column in columns
        if not any(re.fullmatch(pattern(name), column) for name in DESCRIBED[table])
    ]
    assert unknown == [], "describe these in docs/tables.yaml, then `make docs`"


def test_no_table_or_column_is_described_that_no_study_writes(written: dict[str, dict[str, Any]]) -> None:
    missing = [
        f"{table}: {name}"
        for table, columns in DESCRIBED.items()
        if table not in UNWRITTEN
        for name in columns
        if name not in UNWRITTEN_COLUMNS
        and not any(re.fullmatch(pattern(name), column) for column in written.get(table, {}))
    ]
    assert missing == [], "take these out of docs/tables.yaml, then `make docs`"


def test_every_column_of_numbers_has_a_unit_and_no_other_has_one(written: dict[str, dict[str, Any]]) -> None:
    wrong = []
    for table, columns in written.items():
        for column, kind in columns.items():
            name = next(name for name in DESCRIBED[table] if re.fullmatch(pattern(name), column))
            inner = kind.inner if isinstance(kind, polars.List) else kind
            number = inner in (int, float) or (isinstance(inner, polars.DataType) and inner.is_numeric())
            if inner is not type(None) and number != bool(PAGE["unit"](DESCRIBED[table][name])):
                wrong.append(f"{table}: {column}")
    assert wrong == []


def test_the_page_shows_how_to_read_the_results(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = re.search(r"```py\n(.*?)```", (REPOSITORY / "docs" / "tables.md").read_text(), re.DOTALL)
    assert shown is not None
    lines = shown[1].replace("laptop", "tiny").replace("studies/warmup", "studies/provenance")
    monkeypatch.chdir(finished.folder)
    plateaus, logs = [eval(ast.unparse(call)) for call in ast.parse(lines).body if isinstance(call, ast.Expr)]
    assert plateaus.height == 5
    coordinates = {"architecture", "task", "recipe", "warmup", "seed"}
    assert coordinates < set(logs.collect_schema())
    assert logs.select(coordinates).unique().collect().height == 10
