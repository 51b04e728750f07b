"""Declared comparisons: agreement with scipy and statsmodels, corrections, verdicts."""

from typing import Any

import polars
import pytest
from known_truth.simulation import Design, planted_optimum, runs
from scipy import stats
from statistics_settings import statistics
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from warmup.statistics.effect.comparisons import comparisons, pairwise

WARMUPS = (0.0, 0.02, 0.1, 0.3)


def study(strength: float, seeds: int = 8, **changes: Any) -> polars.DataFrame:
    regret = planted_optimum(WARMUPS, 0.1, strength)
    return runs(Design(architectures=2, seeds=seeds, warmups=WARMUPS, regret=regret, **changes), seed=7)


def samples(table: polars.DataFrame, architecture: str, warmup: float) -> tuple[Any, Any]:
    part = table.filter(architecture=architecture).sort("seed")
    return tuple(part.filter(warmup=value)["best_validation_loss"].to_numpy() for value in (warmup, 0.0))


def test_each_comparison_of_a_cell_alone_is_a_paired_t_test_and_an_equivalence_test() -> None:
    table = polars.concat(
        [each.with_columns(task=each["architecture"]) for each in study(0.02).partition_by("architecture")]
    )
    settings = statistics(margins={"default": {"absolute": 0.015}})
    for row in comparisons(table, settings).iter_rows(named=True):
        this, that = samples(table, row["architecture"], row["warmup"])
        expected = stats.ttest_rel(this, that)
        limits = expected.confidence_interval(0.95)
        assert (row["t"], row["p"]) == pytest.approx((expected.statistic, expected.pvalue))
        assert (row["low"], row["high"]) == pytest.approx((limits.low, limits.high))
        assert row["p_equivalence"] == pytest.approx(ttost_paired(this, that, -0.015, 0.015)[0])
        family = expected.confidence_interval(1 - 0.05 / 6)
        assert (row["bonferroni_low"], row["bonferroni_high"]) == pytest.approx((family.low, family.high))


def test_families_are_corrected_as_statsmodels_does() -> None:
    found = comparisons(study(0.02), statistics())
    assert set(found["family_size"]) == {6}
    for ours, method in (("p_bonferroni", "bonferroni"), ("p_holm", "holm")):
        assert found[ours].to_list() == pytest.approx(multipletests(found["p"].to_numpy(), method=method)[1])
    assert found["p_equivalence_holm"].to_list() == pytest.approx(
        multipletests(found["p_equivalence"], method="holm")[1]
    )


@pytest.mark.parametrize(("over", "size"), [("study", 12), ("task", 6), ("architecture", 6), ("cell", 3)])
def test_a_family_is_what_the_configuration_says(over: str, size: int) -> None:
    family = {"against_none": {"reference": 0, "warmups": None, "corrected_over": over}}
    assert set(comparisons(study(0.02, tasks=2), statistics(comparisons=family))["family_size"]) == {size}


def test_families_may_name_their_warmups_and_reference() -> None:
    families = {
        "usual": {"reference": 0.02, "warmups": [0.0, 0.1], "corrected_over": "study"},
        "never run": {"reference": 0.02, "warmups": [0.07], "corrected_over": "study"},
    }
    found = comparisons(study(0.02), statistics(comparisons=families))
    usual = found.filter(family="usual")
    assert set(usual["warmup"]) == {0.0, 0.1} and set(usual["reference"]) == {0.02}
    missing = found.filter(family="never run")
    assert set(missing["verdict"]) == {"cannot say"} and "warmup 0.07 was not run" in missing["note"][0]


def test_verdicts_follow_from_what_was_planted() -> None:
    strong = comparisons(study(1.0), statistics(margins={"default": {"absolute": 0.02}}))
    assert set(strong.filter(warmup=0.1)["verdict"]) == {"better"}
    reverse = {"reversed": {"reference": 0.1, "warmups": [0.0], "corrected_over": "study"}}
    assert set(comparisons(study(1.0), statistics(comparisons=reverse))["verdict"]) == {"worse"}
    nothing = comparisons(study(0.0, seeds=30), statistics(margins={"default": {"absolute": 0.05}}))
    assert set(nothing["verdict"]) == {"equivalent"}
    tight = comparisons(study(0.0, seeds=5), statistics(margins={"default": {"absolute": 1e-4}}))
    assert set(tight["verdict"]) == {"inconclusive"}


def test_a_real_difference_within_the_margin_is_equivalent_and_says_so() -> None:
    found = comparisons(study(0.05, seeds=30, sd=0.01), statistics(margins={"default": {"absolute": 0.2}}))
    row = found.filter(warmup=0.1).row(0, named=True)
    assert row["verdict"] == "equivalent" and row["note"] == "differs, but by less than the margin"


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (study(0.1, seeds=1), "one seed"),
        (study(0.1).with_columns(status=polars.lit("diverged")), "every run diverged"),
        (study(0.1).with_columns(best_validation_loss=polars.lit(1.0)), "do not vary"),
    ],
)
def test_what_cannot_be_tested_keeps_its_place_in_the_family(table: polars.DataFrame, reason: str) -> None:
    found = comparisons(table, statistics())
    assert found.height == 6 and set(found["verdict"]) == {"cannot say"}
    assert all(reason in note for note in found["note"]) and found["p"].null_count() == 6
    assert set(found["family_size"]) == {6}


def test_one_cell_that_cannot_be_tested_does_not_make_the_others_family_smaller() -> None:
    table = study(0.02)
    single = table.filter((polars.col("architecture") == "a00") | (polars.col("seed") == 0))
    found = comparisons(single, statistics())
    assert set(found["family_size"]) == {6}
    tested = found.filter(architecture="a00")
    assert tested["p_bonferroni"].to_list() == pytest.approx([min(1.0, 6 * p) for p in tested["p"]])


@pytest.mark.parametrize(("seeds", "said"), [(3, False), (5, True)])
def test_below_five_seeds_nothing_is_tested_of_a_warmup_that_diverged(seeds: int, said: bool) -> None:
    failing = (polars.col("warmup") == 0.1) & (polars.col("architecture") == "a00") & (polars.col("seed") == 0)
    table = study(0.02, seeds=seeds).with_columns(
        status=polars.when(failing).then(polars.lit("diverged")).otherwise("status"),
        best_validation_loss=polars.when(failing).then(4.0).otherwise("best_validation_loss"),
    )
    declared = comparisons(table, statistics()).filter(architecture="a00")
    (row,) = declared.filter(warmup=0.1).iter_rows(named=True)
    assert (row["verdict"] != "cannot say") == said and (said or "divergence rates" in row["note"])
    assert "cannot say" not in declared.filter(polars.col("warmup") != 0.1)["verdict"].to_list()
    pairs = pairwise(table, statistics()).filter(architecture="a00")
    touched = (pairs["warmup"] == 0.1) | (pairs["other"] == 0.1)
    assert (pairs.filter(touched)["verdict"] != "cannot say").to_list() == [said] * 3
    assert "cannot say" not in pairs.filter(~touched)["verdict"].to_list()
