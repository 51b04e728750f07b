"""What another validation set would move: against plain formulae, planted truth, and runs as training writes them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pyarrow
import pytest
from known_truth.simulation import Design, runs
from numpy.typing import NDArray
from scipy import stats
from statistics_settings import statistics

from warmup import files
from warmup.errors import DataError
from warmup.statistics.base import outcomes, validation
from warmup.statistics.effect.plateau import plateaus
from warmup.training import loop

WARMUPS = (0.0, 0.1, 0.3)
EXAMPLES = 200
Losses = NDArray[np.float64]


def study(seeds: int = 3, stretches: int = EXAMPLES, **changes: Any) -> polars.DataFrame:
    design = Design(**{"architectures": 1, "seeds": seeds, "warmups": WARMUPS, "regret": [0.0, 0.1, 0.2], **changes})
    return runs(design).with_columns(validation_stretches=polars.lit(stretches, polars.Int64))


def written(folder: Path, table: polars.DataFrame, losses: Losses) -> list[Path]:
    """evaluation.parquet of every run: a first validation that was worse, then `losses` [seeds, warmups, examples]."""
    paths = []
    for row in table.iter_rows(named=True):
        where = {axis: f"{row[axis]:g}" if axis == "warmup" else str(row[axis]) for axis in outcomes.COORDINATES}
        own = losses[row["seed"], WARMUPS.index(row["warmup"])].astype(np.float32).tolist()
        columns = {"step": [0, 10], "loss": [9.0, float(np.mean(own))], "example_losses": [None, own]}
        kept = pyarrow.table(columns).replace_schema_metadata({"coordinates": json.dumps(where)})
        path = folder / f"{len(paths)}.parquet"
        files.write_parquet(kept, path)
        paths.append(path)
    return paths


def errors(table: polars.DataFrame, evaluations: list[Path], **changes: Any) -> polars.DataFrame:
    """What the rule makes of a runs table and its validations."""
    sets, _ = plateaus(table, statistics())
    return validation.validation_errors(table, sets, evaluations, statistics(**changes))


def drawn(seed: int, seeds: int = 3, hard: float = 1.0, own: float = 0.1) -> Losses:
    """Losses [seeds, warmups, examples]: what is hard for every run, and what is each warmup's own."""
    random = np.random.default_rng(seed)
    shared = hard * random.standard_normal(EXAMPLES)
    of_warmup = own * random.standard_normal((len(WARMUPS), EXAMPLES))
    return 5.0 + shared + of_warmup + 0.01 * random.standard_normal((seeds, len(WARMUPS), EXAMPLES))


def test_errors_are_those_of_a_paired_t_test_over_examples_of_losses_averaged_over_seeds(tmp_path: Path) -> None:
    table, losses = study(), drawn(1)
    found = errors(table, written(tmp_path, table, losses))
    assert dict(found.schema) == validation.VALIDATION_ERRORS
    assert found["best"].to_list() == [True, False, False] and found["verdict"].unique().to_list() == ["ok"]
    means = losses.astype(np.float32).astype(np.float64).mean(axis=0)
    assert found["loss_error"].to_list() == pytest.approx(stats.sem(means, axis=1).tolist())
    for arm in (1, 2):
        paired = stats.ttest_rel(means[arm], means[0])
        low, high = paired.confidence_interval(0.95)
        row = found.row(arm, named=True)
        assert row["difference_reach"] == pytest.approx((high - low) / 2)
        assert row["difference_error"] == pytest.approx(stats.sem(means[arm] - means[0]))
        assert row["beyond_margin"] == (row["difference_reach"] > row["margin"])
    assert found["difference_error"].max() < 0.3 * found["loss_error"].min(), "what is hard for all drops out"


def test_limits_hold_the_difference_on_all_possible_examples_as_often_as_they_say() -> None:
    table, hits = study(seeds=2), []
    for seed in range(300):
        losses = drawn(seed, seeds=2)
        kept = {
            ("a00", "t0", "adamw", warmup, number): losses[number, arm]
            for arm, warmup in enumerate(WARMUPS)
            for number in range(2)
        }
        (cell,) = outcomes.cells(table)
        rows = validation._cell(cell, kept, EXAMPLES, 0.01, statistics())
        difference = float((losses[:, 1] - losses[:, 0]).mean())  # truly 0: warmups differ by chance of examples only
        hits.append(abs(difference) <= rows[1]["difference_reach"])
    assert stats.binomtest(sum(hits), 300, 0.95).pvalue > 0.001


@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        ({"stretches": 3}, "best_validation_loss", "3 independent stretches"),
        ({}, "final_training_loss", "no validation loss"),
        ({"warmups": (0.1,), "regret": 0.0}, "best_validation_loss", "one warmup only"),
    ],
)
def test_what_cannot_be_said_of_other_examples_is_said_with_its_reason(
    changes: dict[str, Any], outcome: str, reason: str, tmp_path: Path
) -> None:
    table = study(**changes)
    found = errors(table, written(tmp_path, table, drawn(2)), outcome=outcome)
    assert found["verdict"].unique().to_list() == ["cannot say"]
    assert all(reason in note for note in found["note"])
    assert found["difference_reach"].null_count() == len(found)


def test_a_run_without_its_validations_is_named(tmp_path: Path) -> None:
    table = study()
    with pytest.raises(DataError, match=r"warmup 0\.3, seed 2"):
        errors(table, written(tmp_path, table, drawn(3))[:-1])


def test_validations_of_an_earlier_version_are_refused_in_one_sentence(tmp_path: Path) -> None:
    files.write_parquet(pyarrow.table({"step": [0], "loss": [1.0]}), tmp_path / "evaluation.parquet")
    with pytest.raises(DataError, match=r"no losses of validation examples.*train the run again"):
        validation.example_losses(tmp_path / "evaluation.parquet", "best_validation_loss")


@pytest.mark.parametrize("outcome", ["best_validation_loss", "final_validation_loss"])
def test_losses_of_examples_are_read_as_training_writes_them(
    outcome: str, run_settings: Callable[..., dict[str, Any]], prepared: Path, tmp_path: Path
) -> None:
    rising = run_settings(task="images", warmup="0", recipes={"adamw": {"peak_learning_rate": 30.0}})
    loop.run(rising, prepared / "images", tmp_path / "run", loop.Operation(tmp_path / "checkpoints", 10, None, 60))
    table = outcomes.runs_table([tmp_path / "run" / "summary.json"])
    key, losses = validation.example_losses(tmp_path / "run" / "evaluation.parquet", outcome)
    assert key == ("gpt2", "images", "adamw", 0.0, 0)
    assert losses is not None and len(losses) == table["validation_stretches"][0]
    assert losses.mean() == pytest.approx(table[outcome][0], rel=1e-6)
    assert table["best_validation_loss"][0] < table["final_validation_loss"][0], "the two outcomes are to differ"
