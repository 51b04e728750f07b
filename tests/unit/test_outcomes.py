"""Runs become rows; diverged runs count; nothing is dropped."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from known_truth.simulation import Design, runs
from scipy import stats

from warmup.errors import DataError
from warmup.statistics.base import outcomes


def summary(**changes: Any) -> dict[str, Any]:
    """A run's summary.json as training writes it, in what statistics read."""
    return {
        "coordinates": {
            "scale": "tiny",
            "architecture": "gpt2",
            "task": "language",
            "recipe": "adamw",
            "warmup": "0.05",
            "seed": "3",
        },
        "status": "finished",
        "steps": 100,
        "warmup_steps": 5,
        "parameters": 1234,
        "initial_validation_loss": 5.5,
        "best_validation_loss": 2.5,
        "best_validation_error": 0.1,
        "validation_stretches": 50,
        "best_step": 90,
        "final_validation_loss": 2.6,
        "final_training_loss": 2.4,
        "metric": {"name": "perplexity", "best": 12.2, "final": 13.5},
        "settings": {"recipe": {"peak_learning_rate": 6e-3, "betas": [0.9, 0.999], "weight_decay": 0.1}},
        **changes,
    }


def written(folder: Path, *entries: dict[str, Any]) -> list[Path]:
    paths = []
    for index, entry in enumerate(entries):
        path = folder / f"{index}.json"
        path.write_text(json.dumps(entry))
        paths.append(path)
    return paths


def test_a_summary_becomes_a_row_with_typed_coordinates(tmp_path: Path) -> None:
    paths = written(tmp_path, summary())
    table = outcomes.runs_table(paths, roles={"gpt2": "validate"}, stale=[str(paths[0])])
    assert dict(table.schema) == outcomes.SCHEMA
    row = table.row(0, named=True)
    assert (row["warmup"], row["seed"], row["beta2"], row["role"]) == (0.05, 3, 0.999, "validate")
    assert (row["metric"], row["best_metric"], row["stale"]) == ("perplexity", 12.2, True)


def test_a_diverged_run_counts_as_the_smaller_of_its_loss_and_the_one_at_initialisation(tmp_path: Path) -> None:
    coordinates = summary()["coordinates"]
    never = summary(status="diverged", best_validation_loss=None, final_validation_loss=None, final_training_loss=None)
    late = summary(status="diverged", coordinates={**coordinates, "seed": "4"}, best_validation_loss=3.0)
    worse = summary(status="diverged", coordinates={**coordinates, "seed": "5"}, best_validation_loss=9.0)
    table = outcomes.runs_table(written(tmp_path, never, late, worse))
    assert outcomes.with_outcome(table)["outcome"].to_list() == [5.5, 3.0, 5.5]
    assert outcomes.with_outcome(table, "final_validation_loss")["outcome"].to_list() == [5.5, 2.6, 2.6]


def test_a_collapsed_run_keeps_its_own_loss(tmp_path: Path) -> None:
    table = outcomes.runs_table(written(tmp_path, summary(status="collapsed", best_validation_loss=6.0)))
    assert outcomes.with_outcome(table)["outcome"].to_list() == [6.0]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"status": "finished"}, "not the summary of a run"),
        (summary(coordinates={"architecture": "gpt2"}), "not the summary of a run"),
        (summary(settings={"recipe": {"betas": [0.9]}}), "not the summary of a run"),
    ],
)
def test_what_is_not_a_summary_is_named(tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        outcomes.runs_table(written(tmp_path, entry))
    assert "0.json" in str(raised.value)


def test_broken_json_and_a_run_given_twice_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(DataError, match="delete it and run again"):
        outcomes.runs_table([tmp_path / "broken.json"])
    with pytest.raises(DataError, match="stands twice"):
        outcomes.runs_table(written(tmp_path, summary(), summary()))


def test_an_unknown_outcome_is_refused() -> None:
    with pytest.raises(ValueError, match="outcomes are best_validation_loss"):
        outcomes.with_outcome(runs(Design(seeds=1)), "accuracy")


def test_840_summaries_are_read_in_seconds(tmp_path: Path) -> None:
    coordinates = summary()["coordinates"]
    paths = written(tmp_path, *(summary(coordinates={**coordinates, "seed": str(seed)}) for seed in range(840)))
    start = time.process_time()
    assert outcomes.runs_table(paths).height == 840
    assert time.process_time() - start < 3.0


def test_cells_hold_every_run_in_its_place_and_gaps_as_missing() -> None:
    table = runs(Design(architectures=2, seeds=3, warmups=(0.0, 0.02, 0.1)))
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=1).sort("architecture", maintain_order=True)
    gap = shuffled.filter(
        ~((polars.col("architecture") == "a01") & (polars.col("seed") == 1) & (polars.col("warmup") == 0.1))
    )
    whole, broken = outcomes.cells(gap)
    for row in table.filter(architecture="a00").iter_rows(named=True):
        column = int(np.flatnonzero(whole.warmups == row["warmup"])[0])
        assert whole.block.values[row["seed"], column] == row["best_validation_loss"]
    assert (whole.block.missing, broken.block.missing) == (0, 1)
    assert broken.block.complete.shape == (2, 3)


def test_arms_agree_with_scipy_and_count_divergences() -> None:
    table = runs(Design(architectures=1, seeds=10, divergence=0.4, warmups=(0.0, 0.05)), seed=4)
    arms = outcomes.arms(table)
    calm, failing = arms.filter(warmup=0.05).row(0, named=True), arms.filter(warmup=0.0).row(0, named=True)
    sample = table.filter(warmup=0.05)["best_validation_loss"].to_numpy()
    limits = stats.ttest_1samp(sample, 0.0).confidence_interval()
    assert (calm["mean_low"], calm["mean_high"]) == pytest.approx((limits.low, limits.high))
    diverged = table.filter(warmup=0.0, status="diverged").height
    assert 0 < failing["diverged"] == diverged < 10 and failing["n"] == 10
    wilson = stats.binomtest(diverged, 10).proportion_ci(method="wilson")
    assert (failing["divergence_rate_low"], failing["divergence_rate_high"]) == pytest.approx((wilson.low, wilson.high))


def test_one_seed_gives_arms_without_limits_and_says_why() -> None:
    arms = outcomes.arms(runs(Design(architectures=1, seeds=1)))
    assert arms["mean_low"].null_count() == arms.height
    assert set(arms["note"]) == {"cannot say: one value has no spread"}
