"""Optimum, where it may lie, and the cross-fitted advantage."""

import numpy as np
import polars
import pytest
from known_truth.simulation import GRID, Design, planted_optimum, runs
from statistics_settings import statistics

from warmup.statistics.base.outcomes import cells
from warmup.statistics.effect import optimum


def study(best: float, strength: float = 0.3, seeds: int = 6, sd: float = 0.01, **changes: object) -> polars.DataFrame:
    design = Design(architectures=2, seeds=seeds, regret=planted_optimum(GRID, best, strength), sd=sd, **changes)  # type: ignore[arg-type]
    return runs(design, seed=3)


def test_a_clear_optimum_is_found_in_fractions_and_steps() -> None:
    found = optimum.optima(study(0.05, steps=999), statistics())
    assert found["optimum"].to_list() == [0.05, 0.05] and found["optimum_steps"].to_list() == [50, 50]
    for row in found.iter_rows(named=True):
        assert row["optimum_low"] < 0.05 < row["optimum_high"]
        assert not row["interval_reaches_smallest"] and not row["interval_reaches_largest"]
        assert row["gap_to_next"] > 0 and row["verdict"] == "ok"


def test_ties_go_to_the_smaller_warmup_and_are_counted() -> None:
    table = study(0.05, seeds=3)
    noise = polars.col("seed") * 0.01 + polars.col("warmup") * polars.col("seed") * 0.001
    even = table.with_columns(best_validation_loss=2.0 + noise)
    shared = even.with_columns(
        polars.when(polars.col("warmup") <= 0.01)
        .then(2.0 + 0.01 * polars.col("seed"))
        .otherwise(3.0 + noise)
        .alias("best_validation_loss")
    )
    row = optimum.optima(shared, statistics()).row(0, named=True)
    tied = int((cells(shared)[0].warmups <= 0.01).sum())
    assert row["verdict"] == "ok" and f"tied with {tied - 1} larger warmups" in row["note"] and row["optimum"] == 0.0
    assert optimum.argmin(np.array([2.0, 1.0, 1.0])) == 1


def test_tied_means_with_spread_are_reported() -> None:
    table = study(0.05, seeds=2).filter(polars.col("warmup").is_in([0.0, 0.05, 0.2]))
    losses = {(0.0, 0): 1.0, (0.0, 1): 2.0, (0.05, 0): 2.0, (0.05, 1): 1.0, (0.2, 0): 3.0, (0.2, 1): 5.0}
    keys = zip(table["warmup"], table["seed"], strict=True)
    tied = table.with_columns(polars.Series("best_validation_loss", [losses[key] for key in keys]))
    row = optimum.optima(tied, statistics()).row(0, named=True)
    assert (row["optimum"], row["tied"]) == (0.0, 2) and "tied with 1 larger" in row["note"]


def test_secondary_outcomes_and_the_metric_stand_beside() -> None:
    table = study(0.05).with_columns(final_validation_loss=polars.col("warmup") + 0.01 * polars.col("seed"))
    row = optimum.optima(table, statistics()).row(0, named=True)
    assert row["optimum_by_best_validation_loss"] == 0.05 and row["optimum_by_final_validation_loss"] == 0.0
    at = table.filter(architecture="a00", warmup=0.05)["best_metric"].mean()
    assert row["metric"] == "perplexity" and row["metric_at_optimum"] == pytest.approx(at)
    assert row["metric_at_reference"] > row["metric_at_optimum"]


@pytest.mark.parametrize(
    ("slope", "reached", "low", "high"), [(0.1, "smallest", 0.0, 0.005), (-0.1, "largest", 0.08, 1.0)]
)
def test_an_optimum_at_the_grids_end_may_lie_beyond_it(slope: float, reached: str, low: float, high: float) -> None:
    falling = runs(Design(architectures=2, seeds=6, regret=slope * np.log(np.array(GRID) + 0.005), sd=0.005))
    row = optimum.optima(falling, statistics()).row(0, named=True)
    assert (row["optimum_low"], row["optimum_high"]) == (low, high)
    assert row[f"interval_reaches_{reached}"]


def test_possible_best_arms_are_widened_to_their_neighbours() -> None:
    grid = np.array(GRID)
    assert optimum.single_valley(grid, grid == 0.02) == (0.01, 0.05)
    assert optimum.single_valley(grid, (grid == 0.005) | (grid == 0.05)) == (0.0, 0.08)
    assert optimum.single_valley(grid[1:], grid[1:] == 0.005) == (0.0, 0.01)
    assert optimum.single_valley(grid, grid == 0.2) == (0.08, 1.0)


def test_equal_data_give_equal_intervals() -> None:
    first, second = (optimum.optima(study(0.02), statistics()) for _ in range(2))
    assert first.equals(second)


def test_where_nothing_can_be_said_the_optimum_has_no_limits() -> None:
    row = optimum.optima(study(0.05, seeds=1), statistics()).row(0, named=True)
    assert row["optimum_low"] is None and row["note"].startswith("cannot say: ") and "one seed" in row["note"]


def test_halvings_are_all_halvings_and_select_on_one_half_only() -> None:
    values = np.random.default_rng(1).normal(size=(5, 3))
    chosen, held_out = optimum.choices(values, seed=0)
    assert held_out.shape == (5, 20) and set(held_out.sum(axis=0)) == {2.0, 3.0}
    for arm, held in zip(chosen, held_out.T, strict=True):
        assert arm == values[held == 0.0].mean(axis=0).argmin()
    assert optimum.choices(np.random.default_rng(1).normal(size=(30, 3)), 0)[0].shape == (optimum.MOST_SPLITS,)


def test_the_advantage_is_honest_where_warmup_does_nothing() -> None:
    honest, naive = [], []
    for seed in range(60):
        row = optimum.crossfit(runs(Design(architectures=1, seeds=6, sd=0.1), seed), statistics()).row(0, named=True)
        naive.append(row["naive_advantage"])
        honest.append(row["advantage"])
    assert min(naive) >= 0.0 and np.mean(naive) > 0.04
    assert abs(np.mean(honest)) < 0.03


def test_the_advantage_of_a_clear_optimum_is_what_was_planted() -> None:
    row = optimum.crossfit(study(0.05), statistics()).row(0, named=True)
    truth = float(np.ptp(planted_optimum(GRID, 0.05, 0.3)[[0, 4]]))
    assert row["advantage_low"] < truth < row["advantage_high"] and row["agreement"] == 1.0


def test_an_advantage_that_cannot_be_measured_says_why() -> None:
    absent = optimum.crossfit(study(0.05).filter(polars.col("warmup") > 0), statistics()).row(0, named=True)
    assert absent["verdict"] == "cannot say" and "reference warmup 0 was not run" in absent["note"]
    single = optimum.crossfit(study(0.05, seeds=1), statistics()).row(0, named=True)
    assert single["advantage"] is None and "one seed" in single["note"]


def test_where_every_half_chooses_the_reference_the_advantage_is_exactly_none() -> None:
    row = optimum.crossfit(study(0.0, 3.0), statistics()).row(0, named=True)
    assert (row["advantage_low"], row["advantage"], row["advantage_high"]) == (0.0, 0.0, 0.0)
    assert "chose the reference itself" in row["note"]


def test_limits_of_the_advantage_are_corrected_over_the_cells_of_the_study() -> None:
    one = optimum.crossfit(study(0.05).filter(architecture="a00"), statistics(confidence=0.975)).row(0, named=True)
    two = optimum.crossfit(study(0.05), statistics()).row(0, named=True)
    assert (one["cells"], two["cells"]) == (1, 2)
    alone = optimum.crossfit(study(0.05).filter(architecture="a00"), statistics()).row(0, named=True)
    assert alone["advantage_high"] < one["advantage_high"]


@pytest.mark.parametrize(("seeds", "given"), [(2, False), (4, False), (5, True)])
def test_where_all_halves_of_few_seeds_agree_no_advantage_is_told(seeds: int, given: bool) -> None:
    row = optimum.crossfit(study(0.05, 3.0, seeds=seeds), statistics()).row(0, named=True)
    assert row["agreement"] == 1.0 and row["naive_advantage"] > 0.5
    assert (row["verdict"] == "ok") == (row["advantage_low"] is not None) == given
    assert given or "chance often does" in row["note"]


def test_an_advantage_over_a_reference_that_diverged_in_few_seeds_is_not_told() -> None:
    table = study(0.05, 0.0, seeds=3)
    failing = (polars.col("warmup") == 0.0) & (polars.col("seed") == 1)
    broken = table.with_columns(
        status=polars.when(failing).then(polars.lit("diverged")).otherwise("status"),
        best_validation_loss=polars.when(failing).then(4.0).otherwise("best_validation_loss"),
    )
    row = optimum.crossfit(broken, statistics()).row(0, named=True)
    assert row["verdict"] == "cannot say" and "diverged" in row["note"]
