"""Plateau sets and the paired errors behind them."""

from typing import Any

import numpy
import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_truth.simulation import Design, planted_optimum, runs
from scipy import stats
from statistics_settings import statistics

from warmup.statistics.base.outcomes import cells
from warmup.statistics.base.pairing import arm_variances, null_distribution, residual_mean_square, study_errors
from warmup.statistics.effect import plateau

LAPTOP = (0.0, 0.02, 0.1, 0.3)


def planted(strength: float, seeds: int = 3, **changes: Any) -> polars.DataFrame:
    regret = planted_optimum(LAPTOP, 0.02, strength)
    return runs(Design(seeds=seeds, warmups=LAPTOP, regret=regret, sd=0.02, **changes), seed=5)


def test_enough_seeds_use_each_cells_own_paired_t() -> None:
    everything = cells(planted(0.1, seeds=6))
    errors = study_errors(everything, pool_below=5)[0]
    values = everything[0].block.complete
    expected = stats.ttest_rel(values[:, 1], values[:, 0])
    difference = values[:, 1].mean() - values[:, 0].mean()
    assert errors.method == "paired t"
    assert difference / errors.errors[1, 0] == pytest.approx(expected.statistic)
    assert errors.p_value(expected.statistic, 1, 0) == pytest.approx(expected.pvalue)
    limits = expected.confidence_interval(0.95)
    assert errors.reach(0.95)[1, 0] == pytest.approx((limits.high - limits.low) / 2)
    critical = errors.simultaneous_reach(0.95)[0, 1] / errors.errors[0, 1]
    assert stats.t.ppf(0.975, 5) < critical < stats.t.ppf(1 - 0.025 / 6, 5), "between one comparison and Bonferroni"


def test_few_seeds_pool_the_shape_and_keep_each_cells_scale() -> None:
    table = planted(0.1, seeds=2)
    louder = table.with_columns(
        polars.when(architecture="a00")
        .then(10 * polars.col("best_validation_loss"))
        .otherwise("best_validation_loss")
        .alias("best_validation_loss")
    )
    one, ten = (cells(each) for each in (table, louder))
    (plain, beside, *_), (loud, unmoved, *_) = (study_errors(each, 5) for each in (one, ten))
    assert plain.peers == (2, 2, 2) and plain.method == "paired, scaled pooling over 4 cells"
    assert loud.errors == pytest.approx(10 * plain.errors)
    assert unmoved.errors == pytest.approx(beside.errors)


def test_cells_of_other_tasks_and_other_grids_are_not_pooled() -> None:
    table = planted(0.1, seeds=2, tasks=2)
    other_grid = table.with_columns(
        polars.when((polars.col("architecture") == "a03") & (polars.col("warmup") == 0.3))
        .then(0.2)
        .otherwise("warmup")
        .alias("warmup")
    )
    assert study_errors(cells(other_grid), 5)[0].peers == (2, 2)


def test_the_pooled_null_of_one_cell_alone_is_student_t() -> None:
    null = null_distribution(4, (), (1.0, 2.0))
    assert numpy.quantile(null.single[0], 0.95) == pytest.approx(stats.t.ppf(0.975, 3), abs=0.1)


def test_residual_mean_square_is_that_of_a_two_way_layout() -> None:
    values = numpy.random.default_rng(1).normal(size=(5, 4))
    shifted = values + numpy.arange(5)[:, None] + 10 * numpy.arange(4)
    assert residual_mean_square(shifted) == pytest.approx(residual_mean_square(values))
    design = numpy.column_stack(
        [numpy.kron(numpy.eye(5), numpy.ones((4, 1))), numpy.kron(numpy.ones((5, 1)), numpy.eye(4)[:, 1:])]
    )
    left = values.ravel() - design @ numpy.linalg.lstsq(design, values.ravel(), rcond=None)[0]
    assert residual_mean_square(values) == pytest.approx(left @ left / (20 - 8))


def test_arm_variances_recover_what_was_planted() -> None:
    values = numpy.random.default_rng(1).normal(size=(4000, 4)) * numpy.array([3.0, 1.0, 1.0, 0.5])
    values += numpy.random.default_rng(2).normal(size=(4000, 1)) * 5.0
    assert arm_variances(values) == pytest.approx([9.0, 1.0, 1.0, 0.25], abs=0.4)


@settings(deadline=None)
@given(
    st.lists(st.floats(-1, 1), min_size=2, max_size=7),
    st.floats(0, 2),
)
def test_limits_hold_their_order_and_the_lowest_mean_is_never_excluded(means: list[float], reach: float) -> None:
    values = numpy.array(means)
    found = plateau.regrets(values, reach * (1 - numpy.eye(len(values))))
    assert (found.low <= found.high).all() and (found.low >= 0).all()
    best = int(values.argmin())
    assert found.best[best] and found.low[best] == 0.0
    assert (found.low <= found.estimate + 1e-12).all()


def test_with_certain_means_regret_is_known_exactly() -> None:
    found = plateau.regrets(numpy.array([0.5, 0.1, 0.3]), numpy.zeros((3, 3)))
    assert found.low == pytest.approx([0.4, 0.0, 0.2]) and found.high == pytest.approx([0.4, 0.0, 0.2])
    assert found.best.tolist() == [False, True, False]


def test_a_strong_effect_is_found_and_demonstrated_sets_lie_inside_not_excluded_ones() -> None:
    sets, arms = plateau.plateaus(planted(1.0, seeds=10), statistics(margins={"default": {"absolute": 0.05}}))
    assert set(sets["verdict"]) == {"ok"} and not sets["whole_grid"].any()
    for row in sets.iter_rows(named=True):
        assert 0.02 in row["demonstrated"] and 0.3 not in row["not_excluded"]
        assert set(row["demonstrated"]) <= set(row["not_excluded"])
        assert row["not_excluded_low"] == min(row["not_excluded"])
    assert arms.filter(warmup=0.3)["regret_low"].min() > 0.05  # type: ignore[operator]


def test_no_effect_leaves_the_whole_grid() -> None:
    sets, _ = plateau.plateaus(planted(0.0, seeds=10), statistics())
    assert sets["whole_grid"].all() and set(sets["not_excluded_high"]) == {0.3}


def test_margins_are_per_task_absolute_or_relative() -> None:
    settings = statistics(margins={"default": {"relative": 0.01}, "t1": {"absolute": 0.3}})
    assert plateau.margin(settings, "t0", 2.5) == pytest.approx(0.025)
    assert plateau.margin(settings, "t1", 2.5) == 0.3
    assert plateau.margin(settings, "t0", 2.5, "equivalence_margins") == pytest.approx(0.025)
    declared = {**settings, "equivalence_margins": {"default": {"absolute": 0.1}}}
    assert plateau.margin(declared, "t1", 2.5, "equivalence_margins") == 0.1


def test_an_arm_with_diverged_runs_does_not_blur_the_calm_ones() -> None:
    table = planted(0.0, seeds=3)
    failing = (polars.col("architecture") == "a00") & (polars.col("warmup") == 0.0) & (polars.col("seed") > 0)
    broken = table.with_columns(
        polars.when(failing).then(polars.lit("diverged")).otherwise("status").alias("status"),
        polars.when(failing).then(4.0).otherwise("best_validation_loss").alias("best_validation_loss"),
    )
    calm, wild = cells(table), cells(broken)
    before, after = (study_errors(each, 5)[0].simultaneous_reach(0.95) for each in (calm, wild))
    assert after[1, 2] < 2.0 * before[1, 2], "two calm arms"
    assert after[0, 1] > 10.0 * before[0, 1], "the wild arm"
    assert study_errors(wild, 5)[1].peers == (3, 3), "and it is no peer of the other architectures"


@pytest.mark.parametrize("seeds", [2, 10])
def test_two_arms_that_end_alike_in_every_seed_do_not_silence_the_cell(seeds: int) -> None:
    """Runs of 0 and 2 % diverge at once: the same bounded outcome in both, for each seed."""
    table = planted(0.1, seeds=seeds, architectures=1)
    failing = polars.col("warmup") < 0.05
    broken = table.with_columns(
        status=polars.when(failing).then(polars.lit("diverged")).otherwise("status"),
        best_validation_loss=polars.when(failing)
        .then(4.0 + 0.01 * polars.col("seed"))
        .otherwise("best_validation_loss"),
    )
    (errors,) = study_errors(cells(broken), 5)
    assert errors.known and errors.errors[0, 1] == 0.0 and (errors.errors[0, 2:] > 0).all()
    assert errors.statistic(0.0, 0, 1) == 0.0 and errors.p_value(errors.statistic(0.0, 0, 1), 0, 1) == 1.0
    assert errors.p_value(errors.statistic(0.1, 0, 1), 0, 1) < 1e-4
    sets, arms = plateau.plateaus(broken, statistics())
    assert sets["verdict"].to_list() == ["ok"] and arms["regret"][0] == arms["regret"][1]
    if seeds == 10:
        assert not any(member < 0.05 for member in sets["not_excluded"][0])


DEGENERATE = {
    "one seed": (planted(0.1, seeds=1), "one seed has no spread"),
    "one warmup": (planted(0.1).filter(polars.col("warmup") == 0.0), "one warmup only"),
    "all diverged": (planted(0.1).with_columns(status=polars.lit("diverged")), "every run diverged"),
    "ties": (planted(0.1).with_columns(best_validation_loss=polars.lit(2.0)), "do not vary between seeds"),
    "no complete seed": (
        planted(0.1).filter(((polars.col("warmup") * 100).cast(polars.Int64) + polars.col("seed")) % 3 != 0),
        "no seed has every warmup",
    ),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_cells_cannot_say(name: str) -> None:
    table, reason = DEGENERATE[name]
    sets, arms = plateau.plateaus(table, statistics())
    assert set(sets["verdict"]) == {"cannot say"}
    assert all(reason in note for note in sets["note"])
    assert sets["not_excluded_low"].null_count() == sets.height
    assert arms["regret"].null_count() == arms.height > 0


def test_a_missing_run_leaves_its_seed_out_of_its_cell_only() -> None:
    table = planted(0.1, seeds=6)
    gap = table.filter(
        ~((polars.col("architecture") == "a02") & (polars.col("seed") == 0) & (polars.col("warmup") == 0.1))
    )
    sets, _ = plateau.plateaus(gap, statistics())
    assert sets["n"].to_list() == [6, 6, 5, 6] and set(sets["verdict"]) == {"ok"}


def test_one_architecture_alone_rests_on_itself() -> None:
    sets, _ = plateau.plateaus(planted(0.1, seeds=3, architectures=1), statistics())
    assert sets["method"].to_list() == ["paired t"] and sets["verdict"].to_list() == ["ok"]
