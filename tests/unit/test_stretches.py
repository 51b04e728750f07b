"""The sampling error of a validation loss where examples overlap: held to studies of known truth."""

import numpy as np
import pytest

from warmup import stretches


def test_examples_that_share_nothing_each_are_a_stretch_and_their_error_is_the_plain_one() -> None:
    losses = np.random.default_rng(0).normal(size=250).astype(np.float32)
    assert stretches.count(250, 250, None) == 250
    expected = losses.astype(np.float64).std(ddof=1) / 250**0.5
    assert stretches.standard_error(losses, 250) == pytest.approx(expected, rel=1e-12)


def test_stretches_are_twice_as_long_as_targets_and_at_most_fifty_and_at_least_one() -> None:
    assert stretches.count(128, 1000, 24) == 20
    assert stretches.count(128, 10**9, 24) == stretches.MOST
    assert stretches.count(7, 10**9, 24) == 7
    assert stretches.count(128, 30, 24) == 1
    assert np.isnan(stretches.standard_error(np.ones(128), 1))


def test_means_take_every_example_once_whatever_the_number_of_stretches() -> None:
    losses = np.arange(2 * 131, dtype=np.float32).reshape(2, 131)
    sizes = np.diff(np.linspace(0, 131, 21).round())
    assert set(sizes) == {6.0, 7.0}
    means = stretches.means(losses, 20)
    assert means.shape == (2, 20)
    assert means @ sizes / 131 == pytest.approx(losses.mean(axis=1))


def test_of_overlapping_windows_the_error_is_right_to_a_tenth_where_that_of_single_ones_is_half() -> None:
    draws = np.random.default_rng(14)
    rows, horizon, examples, studies = 1000, 24, 128, 400
    errors = np.exp(draws.normal(size=(studies, rows)))
    starts = np.linspace(0, rows - horizon, examples).round().astype(int)
    losses = np.stack([errors[:, start : start + horizon].mean(axis=1) for start in starts], axis=1)
    true = losses.mean(axis=1).std(ddof=1)
    parts = stretches.count(examples, rows, horizon)
    found = np.mean([stretches.standard_error(each, parts) ** 2 for each in losses]) ** 0.5
    naive = np.mean([stretches.standard_error(each, examples) ** 2 for each in losses]) ** 0.5
    assert found == pytest.approx(true, rel=0.12)
    assert naive < 0.6 * true
