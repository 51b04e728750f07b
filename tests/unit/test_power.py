"""The detectable gap agrees with statsmodels, before and after."""

import numpy as np
import polars
import pytest
from known_truth.simulation import Design, runs
from statistics_settings import statistics
from statsmodels.stats.power import TTestPower

from warmup.statistics.base.outcomes import cells
from warmup.statistics.base.pairing import PairedErrors, study_errors
from warmup.statistics.effect.power import detectable_gap, power_table, seeds_to_exclude

WARMUPS = (0.0, 0.02, 0.1, 0.3)
PILOT = {"target": 0.8, "pilots": {"t0": {"sd": 0.02, "correlation": 0.5}}}


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 12])
def test_the_gap_of_a_paired_t_test_agrees_with_statsmodels(seeds: int, alpha: float) -> None:
    design = PairedErrors(np.zeros((2, 2)), seeds)
    gap = detectable_gap(design, 1.0 / seeds**0.5, 1.0 - alpha, 0.8)
    assert TTestPower().power(effect_size=gap, nobs=seeds, alpha=alpha) == pytest.approx(0.8, abs=1e-6)


def test_seeds_to_exclude_two_arms_are_those_of_a_one_sided_t_test() -> None:
    found = seeds_to_exclude(1.0, 1.0, PairedErrors(np.zeros((2, 2)), 5), 0, 0.95, 0.8)
    exact = TTestPower().solve_power(effect_size=1.0, alpha=0.05, power=0.8, alternative="larger")
    assert found is not None and found - 1 < exact <= found + 0.1, "the simulated critical value is known to 1 %"
    assert seeds_to_exclude(0.001, 1.0, PairedErrors(np.zeros((2, 2)), 5), 0, 0.95, 0.8) is None


def test_the_more_warmups_may_be_the_best_the_more_seeds_are_needed_and_pooling_saves_some() -> None:
    def seeds(arms: int, gap: float = 1.0, peers: int = 0) -> int:
        design = PairedErrors(np.zeros((arms, arms)), 5, (5,) * peers)
        found = seeds_to_exclude(gap, 1.0, design, 0, 0.95, 0.8)
        assert found is not None
        return found

    assert seeds(2) < seeds(4) <= seeds(7)
    assert seeds(7, gap=3.0, peers=3) < seeds(7, gap=3.0)


def test_the_seeds_needed_stand_with_the_uncertainty_of_their_sd() -> None:
    design = Design(seeds=10, warmups=WARMUPS)
    row = (
        power_table(runs(design), statistics(margins={"default": {"absolute": 0.02}}))
        .filter(when="after")
        .to_dicts()[0]
    )
    low, middle, high = (row[f"seeds_for_two_margins{end}"] for end in ("_low", "", "_high"))
    assert 2 <= low < middle < high


def test_pooling_detects_smaller_gaps_than_two_seeds_alone() -> None:
    everything = cells(runs(Design(seeds=2, warmups=WARMUPS)))
    pooled = study_errors(everything)[0]
    alone = PairedErrors(pooled.errors, 2)
    assert detectable_gap(pooled, 1.0, 0.95, 0.8) < 0.75 * detectable_gap(alone, 1.0, 0.95, 0.8)


def test_before_comes_from_the_pilot_and_after_from_the_runs() -> None:
    table = power_table(runs(Design(seeds=10, warmups=WARMUPS)), statistics(power=PILOT))
    before, after = (table.filter(when=when, architecture="a00").row(0, named=True) for when in ("before", "after"))
    assert before["paired_sd"] == pytest.approx(0.02)
    assert before["family_size"] == after["family_size"] == 12
    own = TTestPower().solve_power(nobs=10, alpha=0.05 / 12, power=0.8)
    known = TTestPower().solve_power(nobs=10_000, alpha=0.05 / 12, power=0.8) * 1000**0.5
    assert 0.02 * known < before["detectable_gap"] < 0.02 * own, "between a known spread and each cell's own"
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
