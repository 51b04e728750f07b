"""Intervals agree with scipy and statsmodels, and say "cannot say" where there is nothing to say."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from warmup.statistics.base import intervals

SAMPLE = [0.31, -0.12, 0.44, 0.05, 0.27, 0.19, -0.03]


@settings(deadline=None)
@given(st.integers(1, 60), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_agrees_with_scipy_and_statsmodels(trials: int, share: float, confidence: float) -> None:
    successes = round(share * trials)
    found = intervals.wilson(successes, trials, confidence)
    expected = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    assert found.low == pytest.approx(expected.low, abs=1e-12)
    assert found.high == pytest.approx(expected.high, abs=1e-12)
    assert (found.low, found.high) == pytest.approx(
        proportion_confint(successes, trials, 1 - confidence, method="wilson"), abs=1e-9
    )


def test_paired_t_agrees_with_scipy() -> None:
    found = intervals.paired_t(SAMPLE, 0.9)
    expected = stats.ttest_1samp(SAMPLE, 0.0)
    limits = expected.confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high))
    assert intervals.t_p_value(expected.statistic, len(SAMPLE) - 1) == pytest.approx(expected.pvalue)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_and_bonferroni_agree_with_statsmodels(p_values: list[float]) -> None:
    for ours, name in ((intervals.holm, "holm"), (intervals.bonferroni, "bonferroni")):
        assert ours(p_values) == pytest.approx(multipletests(p_values, method=name)[1])


def test_an_untested_member_still_counts_in_the_family() -> None:
    assert intervals.bonferroni([0.01, None]) == [0.02, None]
    assert intervals.holm([0.01, None, 0.02]) == [0.03, None, 0.04]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (intervals.paired_t([]), "no values"),
        (intervals.paired_t([0.2]), "one value has no spread"),
        (intervals.paired_t([0.1, 0.1, 0.1]), "do not vary"),
        (intervals.paired_t([0.1 + 0.2, 0.3, 0.3]), "do not vary"),
        (intervals.wilson(0, 0), "no trials"),
    ],
)
def test_degenerate_samples_cannot_say(found: intervals.Interval, reason: str) -> None:
    assert not found.known and found.low is None and found.high is None
    assert found.verdict == intervals.CANNOT_SAY
    assert found.note.startswith("cannot say: ") and reason in found.note


def test_values_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        intervals.paired_t([1.0, float("nan")])
