"""Comparisons with the best: limits of regret, who may be the best, what is recommended, what is said of no warmup."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmup.statistics.base.blocks import Block
from warmup.statistics.base.pairing import PairedErrors, paired_errors
from warmup.statistics.effect import best

GRID = (0.0, 0.02, 0.1, 0.3)


def drawn(means: tuple[float, ...], seeds: int = 10, sd: float = 0.1, seed: int = 0) -> Block:
    noise = np.random.default_rng(seed).normal(0.0, sd, (seeds, len(means)))
    level = np.arange(seeds)[:, None]
    return Block(GRID, np.arange(seeds), level + np.array(means) + noise, np.zeros(noise.shape, bool))


def judged(block: Block, margin: float, **changes: object) -> best.Judgement:
    return best.judge(block, paired_errors(block, []), margin, 0.95, **changes)  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=7), st.floats(0, 2))
def test_limits_hold_their_order_and_the_lowest_mean_may_always_be_the_best(means: list[float], reach: float) -> None:
    values = np.array(means)
    off = 1.0 - np.eye(len(values))
    found = best.regrets(values, 1.3 * reach * off, reach * off)
    assert (found.low <= found.low_alone).all() and (found.low_alone <= found.high + 1e-12).all()
    assert (found.low >= 0).all()
    lowest = int(values.argmin())
    assert found.possible_best[lowest] and found.low_alone[lowest] == 0.0
    assert (found.low <= found.estimate + 1e-12).all() and (found.estimate <= found.high + 1e-12).all()


def test_with_certain_means_regret_is_known_exactly() -> None:
    found = best.regrets(np.array([0.5, 0.1, 0.3]), np.zeros((3, 3)), np.zeros((3, 3)))
    for limits in (found.low, found.high, found.low_alone):
        assert limits == pytest.approx([0.4, 0.0, 0.2])
    assert found.possible_best.tolist() == [False, True, False]


def test_upper_limits_use_the_reach_of_the_rival_as_control() -> None:
    """Arm 1 is measured well against all others, arm 0 badly: what counts for R(i) is who may be the best."""
    reach_from = np.array([[0.0, 9.0, 9.0], [0.2, 0.0, 0.2], [0.2, 0.2, 0.0]])
    found = best.regrets(np.array([1.0, 0.0, 0.9]), reach_from, reach_from)
    assert found.possible_best.tolist() == [True, True, False]
    assert found.high == pytest.approx([1.2, 8.0, 8.9])


def test_a_costly_reference_is_excluded_a_free_one_is_within_and_noise_leaves_it_undecided() -> None:
    costly = judged(drawn((1.0, 0.0, 0.0, 0.0)), 0.3)
    assert costly.reference == "excluded" and costly.p_reference is not None and costly.p_reference < 0.001
    assert not costly.not_excluded[0] and costly.demonstrated[1:].all() and not costly.flat
    free = judged(drawn((0.0, 0.0, 1.0, 1.0)), 0.3)
    assert free.reference == "within" and free.p_reference is not None and free.p_reference > 0.9
    assert judged(drawn((0.2, 0.0, 0.0, 0.0)), 0.15).reference == "undecided"
    assert judged(drawn((0.2, 0.0, 0.0, 0.0)), 0.15, reference=0.5).reference == "cannot say"


def test_the_recommended_arm_has_the_smallest_upper_limit_of_regret() -> None:
    found = judged(drawn((0.5, 0.0, 0.02, 0.5)), 0.01)
    assert found.recommended in (0.02, 0.1) and not found.demonstrated.any()
    assert found.recommended_high == found.regrets.high.min() > 0.01


def test_a_curve_all_of_whose_arms_are_demonstrated_is_flat() -> None:
    assert judged(drawn((0.0, 0.0, 0.0, 0.0)), 0.5).flat


@pytest.mark.parametrize("seeds", [3, 10])
def test_excluded_at_a_level_is_p_below_it(seeds: int) -> None:
    agreed = 0
    for seed in range(60):
        block = drawn((0.2, 0.0, 0.05, 0.1), seeds, seed=seed)
        found = best.judge(block, paired_errors(block, [drawn((0, 0, 0, 0), seeds, seed=99)]), 0.05, 0.95)
        assert found.p_reference is not None
        agreed += (found.reference == "excluded") == (found.p_reference <= 0.05)
    assert agreed >= 59, "they are one Monte-Carlo error apart at most"


def test_an_arm_with_a_diverged_run_is_judged_by_its_own_spread() -> None:
    block, peer = drawn((0.0, 0.0, 0.0, 0.0), 5), drawn((0.0, 0.0, 0.0, 0.0), 5, seed=1)
    block.values[0, 0] += 5.0
    block.diverged[0, 0] = True
    errors = paired_errors(block, [peer])
    assert errors.separate is not None and errors.separate[0, 1:].all() and not errors.separate[1:, 1:].any()
    reach = errors.reach_from(0.95, sides=1)
    assert reach[0, 1] > 2.5 and (reach[1, 2:] < 0.5).all() and reach[1, 0] > 2.5
    assert best.compare(block.complete.mean(axis=0), errors, 0.95).possible_best[0], "nobody can tell"


def test_what_has_no_errors_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="one seed has no spread"):
        judged(drawn((0.0, 0.0, 0.0, 0.0), seeds=1), 0.1)


def test_p_is_the_same_whatever_the_order_of_the_arms() -> None:
    errors = PairedErrors(np.ones((3, 3)) - np.eye(3), 4, (4, 4), spread=(4.0, 1.0, 2.0))
    turned = PairedErrors(np.ones((3, 3)) - np.eye(3), 4, (4, 4), spread=(1.0, 2.0, 4.0))
    assert errors.p_above(0, np.array([0.0, 2.0, 1.0])) == turned.p_above(2, np.array([2.0, 1.0, 0.0]))
    assert errors.p_value(2.0, 0, 1) == turned.p_value(2.0, 0, 2)
    assert errors.reach_from(0.9, 2)[0, 1] == turned.reach_from(0.9, 2)[2, 0]


@pytest.mark.parametrize(
    ("seeds", "lost", "rate"), [(2, 2, 0.05**0.5), (3, 3, 0.05 ** (1 / 3)), (3, 1, 1 - 0.95 ** (1 / 3))]
)
def test_a_warmup_that_diverges_in_few_seeds_is_excluded_by_the_least_rate_of_divergence(
    seeds: int, lost: int, rate: float
) -> None:
    calm = drawn((0, 0, 0, 0), seeds, sd=0.01)
    values, diverged = calm.values.copy(), calm.diverged.copy()
    values[:lost, 0], diverged[:lost, 0] = 100.0, True
    block = Block(GRID, calm.seeds, values, diverged)
    assert best.least_divergence(block, 0.95) == pytest.approx([rate, 1.0, 1.0, 1.0])
    assert best.least_divergence(calm, 0.95).tolist() == [1.0] * 4
    found = judged(block, margin=5.0)
    if lost == seeds == 3:
        assert found.reference == best.EXCLUDED and found.p_reference < 0.05  # type: ignore[operator]
        assert 5.0 < found.regrets.low_alone[0] < rate * 100.0


def test_from_five_seeds_on_limits_rest_on_the_spread_of_diverged_runs_themselves() -> None:
    calm = drawn((0, 0, 0, 0), 5)
    diverged = calm.diverged.copy()
    diverged[0, 0] = True
    assert best.least_divergence(Block(GRID, calm.seeds, calm.values, diverged), 0.95).tolist() == [1.0] * 4
