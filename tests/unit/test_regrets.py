"""A regret is too large measured one way and too small the other; what noise alone gives is counted."""

import numpy as np
import pytest

from warmup.statistics.prediction import maps, regrets

GRID = np.array([0.0, 0.02, 0.1])


def curve(values: np.ndarray) -> maps.Curve:
    return maps.Curve("a", "t", "r", 1000, 0.005, GRID, values)


def test_every_seed_is_held_out_as_often_and_halves_are_disjoint() -> None:
    for seeds in (2, 5, 12):
        choosing, held_out = regrets.halvings(seeds)
        assert ((choosing > 0) & (held_out > 0)).sum() == 0
        assert held_out.sum(axis=1) == pytest.approx(1.0)
    assert len(regrets.halvings(12)[0]) == regrets.MOST_HALVINGS


def test_without_noise_both_measures_are_the_regret() -> None:
    found = regrets.regret(curve(np.array([[1.1, 1.0, 1.2]] * 4) + np.arange(4)[:, None] * 0.0), np.log(0.1 + 0.005))
    assert found.against_lowest == pytest.approx(0.2) and found.against_chosen == pytest.approx(0.2)
    assert found.square == pytest.approx(0.0) and found.noise == pytest.approx(0.0)


def test_where_all_warmups_are_alike_the_noise_regret_is_the_mean_regret_of_a_constant() -> None:
    rng = np.random.default_rng(1)
    cells = [
        regrets.regret(
            curve(2.0 + 0.1 * rng.standard_normal((5, 1)) + 0.1 * rng.standard_normal((5, 3))), np.log(0.005)
        )
        for _ in range(2000)
    ]
    measured = np.mean([one.against_lowest for one in cells])
    assert measured == pytest.approx(np.mean([one.noise for one in cells]), rel=0.05)
    assert np.mean([one.against_chosen for one in cells]) == pytest.approx(0.0, abs=0.1 * measured)


@pytest.mark.parametrize(("count", "mean"), [(1, 0.0), (2, 0.5642), (7, 1.3522)])
def test_the_largest_of_normal_numbers_is_expected_where_tables_have_it(count: int, mean: float) -> None:
    assert regrets.expected_extreme(count) == pytest.approx(mean, abs=1e-4)


def test_one_seed_has_a_regret_but_no_limits() -> None:
    row = regrets.mean_regret_columns([regrets.regret(curve(np.array([[1.1, 1.0, 1.2]])), np.log(0.005))], ["a"], 0.95)
    assert row["regret"] == pytest.approx(0.1)
    assert {row[name] for name in ("regret_low", "regret_high", "regret_new_low", "noise_regret")} == {None}
