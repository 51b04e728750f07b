"""Plateau sets and the paired errors behind them."""

from typing import Any

import numpy as np
import polars
import pytest
from known_truth.simulation import Design, planted_optimum, runs
from scipy import stats
from statistics_settings import statistics

from warmup.statistics.base import nulls
from warmup.statistics.base.nulls import null_distribution, point, simulate
from warmup.statistics.base.outcomes import cells
from warmup.statistics.base.pairing import (
    PairedErrors,
    arm_variances,
    relative_variances,
    residual_mean_square,
    study_errors,
)
from warmup.statistics.effect import plateau

LAPTOP = (0.0, 0.02, 0.1, 0.3)


def planted(strength: float, seeds: int = 3, **changes: Any) -> polars.DataFrame:
    regret = planted_optimum(LAPTOP, 0.02, strength)
    return runs(Design(seeds=seeds, warmups=LAPTOP, regret=regret, sd=0.02, **changes), seed=5)


def test_one_cell_alone_has_its_own_paired_t() -> None:
    (cell,) = cells(planted(0.1, seeds=6, architectures=1))
    (errors,) = study_errors([cell])
    values = cell.block.complete
    expected = stats.ttest_rel(values[:, 1], values[:, 0])
    difference = values[:, 1].mean() - values[:, 0].mean()
    assert errors.method == "paired t"
    assert difference / errors.errors[1, 0] == pytest.approx(expected.statistic)
    assert errors.p_value(expected.statistic, 1, 0) == pytest.approx(expected.pvalue)
    limits = expected.confidence_interval(0.95)
    assert errors.reach(0.95)[1, 0] == pytest.approx((limits.high - limits.low) / 2)


def test_shape_is_shrunk_towards_the_cells_of_a_task_and_each_keeps_its_scale() -> None:
    table = planted(0.1, seeds=3)
    louder = table.with_columns(
        polars.when(architecture="a00")
        .then(10 * polars.col("best_validation_loss"))
        .otherwise("best_validation_loss")
        .alias("best_validation_loss")
    )
    (plain, beside, *_), (loud, unmoved, *_) = (study_errors(cells(each)) for each in (table, louder))
    assert plain.peers == (3, 3, 3) and plain.method == "paired, shape shrunk over 4 cells"
    assert loud.errors == pytest.approx(10 * plain.errors)
    assert unmoved.errors == pytest.approx(beside.errors)
    values = [cell.block.complete for cell in cells(table)]
    shapes = [_paired(each) / residual_mean_square(each) for each in values]
    expected = residual_mean_square(values[0]) * (4 * np.mean(shapes, axis=0) + 2 * shapes[0]) / 6
    assert plain.errors**2 * 3 == pytest.approx(expected)


def _paired(values: Any) -> Any:
    return (values[:, :, None] - values[:, None, :]).var(axis=0, ddof=1)


@pytest.mark.parametrize("arms", [4, 7])
def test_limits_never_widen_with_more_seeds(arms: int) -> None:
    """Critical value over sqrt(n), in sd of a difference, times the mean estimated error: one step at each seed."""
    widths = []
    for seeds in range(2, 12):
        design = PairedErrors(np.ones((arms, arms)) - np.eye(arms), seeds, (seeds,) * 3, draws=20_000)
        mean_ratio = simulate(seeds, (seeds,) * 3, (1.0,) * arms, 20_000)[1].mean()
        widths.append(
            [
                float(each.max()) * mean_ratio / seeds**0.5
                for each in (design.simultaneous_reach(0.95), design.reach_from(0.95, 1))
            ]
        )
    assert (np.diff(np.array(widths), axis=0) < 0).all()


def test_cells_of_other_tasks_and_other_grids_are_not_pooled() -> None:
    table = planted(0.1, seeds=2, tasks=2)
    other_grid = table.with_columns(
        polars.when((polars.col("architecture") == "a03") & (polars.col("warmup") == 0.3))
        .then(0.2)
        .otherwise("warmup")
        .alias("warmup")
    )
    assert study_errors(cells(other_grid))[0].peers == (2, 2)


def test_the_null_of_one_cell_alone_is_student_t_and_dunnett() -> None:
    null = null_distribution(7, (), (1.0, 2.0, 1.0))
    assert point(null.single[0], 0.95) == pytest.approx(stats.t.ppf(0.975, 6), rel=0.02)
    wide = null_distribution(400, (), (1.0,) * 4)
    assert point(wide.largest, 0.95) == pytest.approx(stats.studentized_range.ppf(0.95, 4, np.inf) / 2**0.5, rel=0.02)
    assert point(wide.above[0], 0.95) == pytest.approx(2.06, abs=0.03), "Dunnett's table: 3 treatments, one-sided"
    assert point(wide.apart[0], 0.95) == pytest.approx(2.35, abs=0.03), "Dunnett's table: 3 treatments, two-sided"


def test_bartletts_decomposition_draws_the_covariances_of_normal_rows() -> None:
    scale = np.array([1.0, 2.0, 0.5])
    few, many = (nulls._covariance(np.random.default_rng(1), 20_000, seeds, scale) for seeds in (4, 9))
    for found, freedom in ((few, 3), (many, 8)):
        assert found.mean(axis=0) == pytest.approx(np.diag(scale**2), abs=0.1)
        assert found[:, 1, 1].var() == pytest.approx(2 * 2.0**4 / freedom, rel=0.1)
        assert found[:, 0, 1].var() == pytest.approx(4.0 / freedom, rel=0.1)


def test_residual_mean_square_is_that_of_a_two_way_layout() -> None:
    values = np.random.default_rng(1).normal(size=(5, 4))
    shifted = values + np.arange(5)[:, None] + 10 * np.arange(4)
    assert residual_mean_square(shifted) == pytest.approx(residual_mean_square(values))
    design = np.column_stack([np.kron(np.eye(5), np.ones((4, 1))), np.kron(np.ones((5, 1)), np.eye(4)[:, 1:])])
    left = values.ravel() - design @ np.linalg.lstsq(design, values.ravel(), rcond=None)[0]
    assert residual_mean_square(values) == pytest.approx(left @ left / (20 - 8))


def test_arm_variances_recover_what_was_planted() -> None:
    values = np.random.default_rng(1).normal(size=(4000, 4)) * np.array([3.0, 1.0, 1.0, 0.5])
    values += np.random.default_rng(2).normal(size=(4000, 1)) * 5.0
    assert arm_variances(values) == pytest.approx([9.0, 1.0, 1.0, 0.25], abs=0.4)


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
    before, after = (study_errors(each)[0].simultaneous_reach(0.95) for each in (calm, wild))
    assert after[1, 2] < 2.0 * before[1, 2], "two calm arms"
    assert after[0, 1] > 10.0 * before[0, 1], "the wild arm"
    assert study_errors(wild)[1].peers == (3, 3), "and it is no peer of the other architectures"


def test_relative_variances_recover_what_was_planted_beside_an_arm_ten_times_as_noisy() -> None:
    random = np.random.default_rng(3)
    sd = np.array([10.0, 1.0, 2.0, 1.0])
    tables = [scale * (random.normal(size=(40, 1)) + sd * random.normal(size=(40, 4))) for scale in [1.0, 5.0] * 50]
    found = relative_variances(tables)
    assert np.sqrt(found / found[1]) == pytest.approx([10.0, 1.0, 2.0, 1.0], rel=0.15)
    assert found.mean() == pytest.approx(1.0)
    assert relative_variances([table[:, :2] for table in tables]) == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(("seeds", "apart"), [(3, True), (5, False)])
def test_below_five_seeds_an_arm_far_noisier_than_the_others_rests_on_its_own_differences(
    seeds: int, apart: bool
) -> None:
    table = runs(Design(seeds=seeds, warmups=LAPTOP, arm_spread=[100.0, 1.0, 1.0, 1.0]), 2)
    for errors, cell in zip(study_errors(cells(table)), cells(table), strict=True):
        assert errors.peers == (seeds,) * 3
        assert (errors.separate is not None) == apart
        if errors.separate is not None:
            assert errors.separate[0].tolist() == [False, True, True, True] and not errors.separate[1:, 1:].any()
            own = stats.sem(cell.block.complete[:, 1] - cell.block.complete[:, 0])
            assert errors.errors[0, 1] == pytest.approx(own)


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
    (errors,) = study_errors(cells(broken))
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
