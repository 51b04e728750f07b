"""Norms are read in one way: as they were logged, with a reason where they were not."""

from pathlib import Path

import numpy as np
import polars
import pytest
from known_truth.trained_tables import write_run

from warmup.errors import DataError
from warmup.statistics.base import gradient_norms, run_folders


def test_norms_of_the_network_and_of_its_groups_are_those_of_the_log(tmp_path: Path) -> None:
    logged = {"global": np.array([3.0, 5.0]), "block": np.array([1.0, 2.0]), "head": np.array([2.0, 4.0])}
    run = run_folders.read(write_run(tmp_path, logged))
    with gradient_norms.NormLog(run) as log:
        assert log.groups == ["block", "head"]
        for group, values in logged.items():
            assert log.of(group).tolist() == values.tolist()
    assert gradient_norms.of_run(run).tolist() == [3.0, 5.0]


def test_a_norm_that_was_not_logged_is_not_a_number(tmp_path: Path) -> None:
    run = run_folders.read(write_run(tmp_path, {"global": np.array([3.0, 5.0])}))
    log = polars.read_parquet(run.log).with_columns(gradient_norm=polars.Series([3.0, None], dtype=polars.Float32))
    log.write_parquet(run.log)
    found = gradient_norms.of_run(run)
    assert found[0] == 3.0 and np.isnan(found[1])


def test_a_log_without_norms_is_named(tmp_path: Path) -> None:
    run = run_folders.read(write_run(tmp_path, {"global": np.array([3.0])}))
    polars.read_parquet(run.log).drop("gradient_norm").write_parquet(run.log)
    with pytest.raises(DataError, match=r"log\.parquet: has no column gradient_norm"):
        gradient_norms.of_run(run)
