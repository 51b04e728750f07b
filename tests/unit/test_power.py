"""The detectable gap agrees with statsmodels, before and after."""

import numpy
import polars
import pytest
from known_truth.simulation import Design, runs
from statistics_settings import statistics
from statsmodels.stats.power import TTestPower

from warmup.statistics.base.outcomes import cells
from warmup.statistics.base.pairing import PairedErrors, study_errors
from warmup.statistics.effect.power import detectable_gap, power_table, seeds_for

WARMUPS = (0.0, 0.02, 0.1, 0.3)
PILOT = {"target": 0.8, "pilots": {"t0": {"sd": 0.02, "correlation": 0.5}}}


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 12])
def test_the_gap_of_a_paired_t_test_agrees_with_statsmodels(seeds: int, alpha: float) -> None:
    design = PairedErrors(numpy.zeros((2, 2)), seeds)
    gap = detectable_gap(design, 1.0 / seeds**0.5, 1.0 - alpha, 0.8)
    assert TTestPower().power(effect_size=gap, nobs=seeds, alpha=alpha) == pytest.approx(0.8, abs=1e-6)


def test_seeds_for_a_gap_are_the_fewest_that_suffice() -> None:
    found = seeds_for(1.0, 1.0, 0.95, 0.8)
    exact = TTestPower().solve_power(effect_size=1.0, alpha=0.05, power=0.8)
    assert found is not None and found - 1 < exact <= found
    assert seeds_for(0.001, 1.0, 0.95, 0.8) is None


def test_pooling_detects_smaller_gaps_than_two_seeds_alone() -> None:
    everything = cells(runs(Design(seeds=2, warmups=WARMUPS)))
    pooled = study_errors(everything, 5)[0]
    alone = PairedErrors(pooled.errors, 2)
    assert detectable_gap(pooled, 1.0, 0.95, 0.8) < 0.75 * detectable_gap(alone, 1.0, 0.95, 0.8)


def test_before_comes_from_the_pilot_and_after_from_the_runs() -> None:
    table = power_table(runs(Design(seeds=10, warmups=WARMUPS)), statistics(power=PILOT))
    before, after = (table.filter(when=when, architecture="a00").row(0, named=True) for when in ("before", "after"))
    assert before["paired_sd"] == pytest.approx(0.02)
    assert before["family_size"] == after["family_size"] == 12
    effect = TTestPower().solve_power(nobs=10, alpha=0.05 / 12, power=0.8)
    assert before["detectable_gap"] == pytest.approx(0.02 * effect, rel=1e-3)
    assert after["paired_sd"] == pytest.approx(0.02, rel=0.6) and after["paired_sd"] != before["paired_sd"]


def test_without_a_pilot_power_before_cannot_be_said() -> None:
    before = power_table(runs(Design(seeds=10, warmups=WARMUPS)), statistics()).filter(when="before")
    assert set(before["verdict"]) == {"cannot say"} and "power.pilots" in before["note"][0]
    assert before["detectable_gap"].null_count() == before.height


def test_one_seed_detects_nothing_and_says_so() -> None:
    table = power_table(runs(Design(seeds=1, warmups=WARMUPS)), statistics(power=PILOT))
    assert set(table["verdict"]) == {"cannot say"}
    assert all("one seed" in note for note in table["note"])


def test_a_reference_that_was_not_run_is_named() -> None:
    table = runs(Design(seeds=5, warmups=WARMUPS)).filter(polars.col("warmup") > 0)
    after = power_table(table, statistics()).filter(when="after")
    assert "reference warmup 0 was not run" in after["note"][0]
