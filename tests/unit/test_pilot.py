"""The pilot's choices, on tables whose answers are known by construction."""

import math
from typing import Any

import numpy as np
import polars
import pytest

from warmup.errors import DataError
from warmup.statistics.base import budgets
from warmup.statistics.base.outcomes import SCHEMA
from warmup.statistics.effect import pilot

WARMUPS = (0.0, 0.02, 0.1, 0.3)


def runs(losses: dict[tuple[str, float, int], float], **fixed: Any) -> polars.DataFrame:
    """A runs table from outcomes by (recipe, warmup, seed)."""
    rows = []
    for (recipe, warmup, seed), loss in losses.items():
        row: dict[str, Any] = dict.fromkeys(SCHEMA)
        row |= {"architecture": "one", "task": "language", "recipe": recipe, "warmup": warmup, "seed": seed}
        row |= {"status": "finished", "initial_validation_loss": 5.0, "best_validation_loss": loss, "steps": 150}
        row |= {"role": "study", "lineage": "one", "stale": False, **fixed}
        rows.append(row)
    return polars.DataFrame(rows, schema=SCHEMA)


def by_rate(losses: dict[float, float]) -> polars.DataFrame:
    """Four warmups at each rate, whose mean is the loss given."""
    tilt = dict(zip(WARMUPS, (-0.3, -0.1, 0.1, 0.3), strict=True))
    parts = [
        runs({(f"rate {rate}", warmup, 0): loss + tilt[warmup] for warmup in WARMUPS}, peak_learning_rate=rate)
        for rate, loss in losses.items()
    ]
    return polars.concat(parts)


@pytest.mark.parametrize(
    ("losses", "rate", "end"),
    [({1e-3: 2.0, 2e-3: 1.5, 4e-3: 1.8}, 2e-3, False), ({1e-3: 1.4, 2e-3: 1.5, 4e-3: 1.8}, 1e-3, True)],
)
def test_the_rate_is_that_of_the_lowest_mean_and_an_end_of_the_grid_is_told(
    losses: dict[float, float], rate: float, end: bool
) -> None:
    table = pilot.rates(by_rate(losses), "best_validation_loss").filter("lowest")
    assert table["peak_learning_rate"].to_list() == [rate]
    assert table["at_the_end"].to_list() == [end]


def test_a_diverged_run_counts_as_no_better_than_the_start_and_is_not_left_out() -> None:
    table = by_rate({1e-3: 2.0, 2e-3: 1.9, 4e-3: 2.5})
    first = (polars.col("peak_learning_rate") == 2e-3) & (polars.col("warmup") == 0)
    status = polars.when(first).then(polars.lit("diverged")).otherwise("status").alias("status")
    loss = polars.when(first).then(None).otherwise("best_validation_loss").alias("best_validation_loss")
    chosen = pilot.rates(table.with_columns(status, loss), "best_validation_loss").filter("lowest")
    assert chosen["peak_learning_rate"].item() == 1e-3


def design(recipe: str, level: float, noise: float) -> dict[tuple[str, float, int], float]:
    """Two seeds x four warmups whose residuals are +-noise / 2, beside effects of seeds and warmups."""
    sign = np.array([[1, -1, 1, -1], [-1, 1, -1, 1]]) * noise / 2
    values = level + np.array([[0.0], [0.1]]) + np.array([0.0, 0.01, 0.02, 0.05]) + sign
    return {(recipe, WARMUPS[arm], seed): float(values[seed, arm]) for seed in range(2) for arm in range(4)}


def test_the_design_of_the_lowest_price_wins_among_those_whose_loss_is_no_higher_than_before() -> None:
    today = runs(design("today", 2.0, 0.1))
    table = runs({**design("noisy", 1.9, 0.2), **design("quiet", 1.9, 0.05), **design("quietest but worse", 2.2, 0.01)})
    seconds = {("one", "language", recipe): 4.0 for recipe in table["recipe"].unique()}
    found = pilot.designs(table, today, seconds, "best_validation_loss", {"default": 0.01})
    quiet = found.row(by_predicate=polars.col("recipe") == "quiet", named=True)
    lowest = min(
        np.mean([value for (_, arm, _), value in design("quiet", 1.9, 0.05).items() if arm == w]) for w in WARMUPS
    )
    assert quiet["margin"] == pytest.approx(0.01 * lowest)
    assert quiet["noise"] * quiet["margin"] == pytest.approx(math.sqrt(8 * 0.025**2 / 3))
    assert quiet["price"] == pytest.approx(quiet["noise"] ** 2 * (4.0 + pilot.START_SECONDS))
    assert pilot.best_design(found)["recipe"].to_list() == ["quiet", "noisy", "quietest but worse"]


def test_one_seed_leaves_no_noise_to_judge_a_design_by() -> None:
    table = runs({key: loss for key, loss in design("one seed", 2.0, 0.1).items() if key[2] == 0})
    with pytest.raises(DataError, match="1 seeds x 4 warmups leave no residual"):
        pilot.designs(table, table, {("one", "language", "one seed"): 1.0}, "best_validation_loss", {"default": 0.01})


def test_a_loss_is_worth_the_steps_that_would_gain_it() -> None:
    short = runs({("short", 0.0, seed): 2.0 for seed in range(2)}, steps=150)
    long = runs({("long", 0.0, seed): 2.0 - 0.3 * math.log(2) for seed in range(2)}, steps=300)
    (slope,) = budgets.slopes(polars.concat([short, long]), "best_validation_loss")["slope"]
    assert slope == pytest.approx(0.3)
    assert budgets.more_steps(0.3 * math.log(1.04), slope) == pytest.approx(0.04)
    worse = budgets.slopes(polars.concat([short, runs({("long", 0.0, 0): 2.1}, steps=300)]), "best_validation_loss")
    assert worse["slope"].to_list() == [None] and budgets.more_steps(0.1, None) is None
