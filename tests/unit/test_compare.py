"""Two result folders compared: equal but for times and digests, else every difference in a line of its own."""

import json
from pathlib import Path
from typing import Any

import polars
import pytest

from warmup.provenance import compare

SUMMARY = {"best_validation_loss": 1.5, "log_sha256": "a", "code": {"a.py": "1"}, "coordinates": {"seed": "0"}}


def results(folder: Path, loss: float = 1.0, summary: dict[str, Any] = SUMMARY, **columns: Any) -> Path:
    run = folder / "runs" / "architecture=gpt2" / "seed=0"
    tables = folder / "studies" / "warmup" / "tables"
    for made in (run, tables):
        made.mkdir(parents=True)
    (run / "summary.json").write_text(json.dumps(summary))
    polars.DataFrame({"step": [0, 1], "loss": [2.0, loss]}).write_parquet(run / "log.parquet")
    table = {"arm": ["0", "0.1"], "regret": [0.0, float("nan")], "train_seconds": [1.0, 2.0], **columns}
    polars.DataFrame(table).write_parquet(tables / "regrets.parquet")
    return folder


def test_the_same_results_made_by_other_code_on_another_machine_are_equal(tmp_path: Path) -> None:
    before = results(tmp_path / "a")
    after = results(
        tmp_path / "b", summary={**SUMMARY, "code": {"b.py": "2"}, "log_sha256": "b"}, train_seconds=[9.0, 9.0]
    )
    assert list(compare.compare(before, after)) == []
    assert compare.main([str(before), str(after)]) == 0


def test_a_different_number_is_named_with_table_column_and_size(tmp_path: Path) -> None:
    lines = list(compare.compare(results(tmp_path / "a"), results(tmp_path / "b", loss=1.25)))
    name = "runs/architecture=gpt2/seed=0/log.parquet"
    assert lines == [f"{name}: loss: 1 of 2 differ (1.0 is now 1.25; at most by 0.25)"]
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "b")]) == 1


def test_columns_files_and_outcomes_that_came_or_went_are_named(tmp_path: Path) -> None:
    before = results(tmp_path / "a", gone=[1, 2])
    after = results(tmp_path / "b", summary={**SUMMARY, "best_validation_loss": 2.0}, new=[1, 2])
    (before / "studies/warmup/tables/regrets.parquet").with_name("power.parquet").write_bytes(
        (before / "studies/warmup/tables/regrets.parquet").read_bytes()
    )
    assert list(compare.compare(before, after)) == [
        "runs/architecture=gpt2/seed=0/summary.json: best_validation_loss: 1.5 is now 2.0",
        f"studies/warmup/tables/power.parquet: only in {before}",
        "studies/warmup/tables/regrets.parquet: column gone is gone",
        "studies/warmup/tables/regrets.parquet: column new is new",
    ]


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no such folder"):
        list(compare.compare(tmp_path / "a", tmp_path / "b"))
    with pytest.raises(SystemExit, match="make compare"):
        compare.main(["one"])
