"""docs/tables.yaml describes every table that a rule writes; tests/dag/test_tables.py compares the columns."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from warmup import registry
from warmup.config import grid
from warmup.statistics.attribution import contrasts
from warmup.statistics.effect import look_records, rates, start_differences
from warmup.statistics.prediction import prediction
from warmup.statistics.rewarming import branches
from warmup.statistics.unit import units
from warmup.theory import plateau_heights

UNWRITTEN: dict[str, dict[str, Any]] = {
    "predictions": prediction.PREDICTIONS,
    "looks": look_records.LOOKS,
    "rates": rates.RATES,
    "start_differences": start_differences.DIFFERENCES,
    "rate_answers": rates.RATE_ANSWERS,
    "attribution": contrasts.ATTRIBUTION,
    "plateau_heights": plateau_heights.ARMS,
    "plateau_height_differences": plateau_heights.DIFFERENCES,
    "rewarming": branches.REWARMING,
    "unit_curves": units.CURVES,
    "unit_choices": units.CHOICES,
    "unit_regrets": units.REGRETS,
    "unit_differences": units.DIFFERENCES,
    "unit_answers": units.ANSWERS,
}
"""Tables that the study of tests/dag does not write, with the columns that the code gives them."""


@pytest.fixture
def page(repository: Path) -> dict[str, Any]:
    """What docs/generate.py defines."""
    return runpy.run_path(str(repository / "docs" / "generate.py"))


def test_the_page_of_tables_is_in_step_with_their_descriptions(page: dict[str, Any], repository: Path) -> None:
    written = (repository / "docs" / "tables.md").read_text()
    assert written == page["tables"](), "docs/tables.md is out of date: run `make docs` and commit it"


def test_the_tables_described_are_those_that_rules_write(page: dict[str, Any], repository: Path) -> None:
    rules = "".join(path.read_text() for path in sorted((repository / "rules").glob("*.smk")))
    of_study = set(re.findall(r'\{TABLES\}/(\w+)["\.]', rules))
    of_model = {f"theory/{name}" for name in re.findall(r'\{THEORY\}/(\w+)["\.]', rules)}
    assert set(page["described"]()) == of_study | of_model | set(grid.RUN_FILES)


@pytest.mark.parametrize("table", UNWRITTEN)
def test_columns_of_a_table_that_the_small_study_does_not_write_are_described(table: str, page: dict[str, Any]) -> None:
    assert set(page["described"]()[table]) == set(UNWRITTEN[table])


def test_validations_are_described_with_the_metric_of_every_kind_of_task(page: dict[str, Any]) -> None:
    kinds = [registry.load("tasks", kind) for kind in ("language", "classification", "forecasting")]
    metrics = {task.metric for kind in kinds for task in vars(kind).values() if hasattr(task, "metric")}
    others = {"step", "loss", "loss_error", "example_losses"}
    assert set(page["described"]()["evaluation.parquet"]) == others | metrics


def test_every_unit_that_needs_a_word_has_one(page: dict[str, Any], repository: Path) -> None:
    used = {page["unit"](text) for columns in page["described"]().values() for text in columns.values()}
    explained = re.findall(r"^\| (.+?) \| .+ \|$", (repository / "docs" / "tables.md").read_text(), re.M)
    assert {"loss", "share of training", "step", "share of the loss", "1"} <= used & set(explained)
