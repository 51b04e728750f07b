"""Intervals cover, tests keep their size and power is what was promised: a small form of benchmarks/coverage.py.

The benchmark has every design and more studies; docs/statistics.md has its table, with what fails and what follows.
"""

from typing import Any

import pytest
from known_truth import checks
from known_truth.simulation import GRID, Design, planted_optimum

pytestmark = pytest.mark.slow

STUDIES = 300
LAPTOP = (0.0, 0.02, 0.1, 0.3)
SIZES = [(2, 4, LAPTOP), (3, 4, LAPTOP), (3, 12, LAPTOP), (5, 4, GRID), (10, 4, GRID), (10, 12, GRID)]


def design(seeds: int, architectures: int, warmups: tuple[float, ...], **changes: Any) -> Design:
    return Design(seeds=seeds, architectures=architectures, warmups=warmups, **changes)


def passed(*found: checks.Check) -> None:
    for check in found:
        assert check.passes, check


@pytest.mark.parametrize("size", SIZES)
def test_a_null_study_yields_whole_grid_plateaus_and_no_claims(size: Any) -> None:
    null = design(*size)
    found = checks.cell_checks(null, str(size), STUDIES)
    assert "whole grid not excluded" in [check.statistic for check in found]
    passed(*found, checks.family_check(null, str(size), 100))


@pytest.mark.parametrize("size", SIZES)
def test_limits_cover_a_planted_effect_where_one_architecture_is_three_times_as_noisy(size: Any) -> None:
    regret = planted_optimum(size[2], 0.05, 0.1)
    noisy = design(*size, regret=regret, cell_spread=[3.0] + [1.0] * (size[1] - 1))
    found = checks.cell_checks(noisy, str(size), STUDIES, valley=0.05)
    assert {"optimum of a curve with one valley", "cross-fitted advantage"} <= {check.statistic for check in found}
    passed(*found)


@pytest.mark.parametrize("size", SIZES)
def test_a_planted_gap_is_found_at_the_power_promised(size: Any) -> None:
    passed(checks.power_check(design(*size), str(size), STUDIES))


@pytest.mark.parametrize("size", [(3, 4, LAPTOP), (10, 4, GRID)])
def test_the_mixed_model_keeps_its_size(size: Any) -> None:
    passed(*checks.mixed_model_checks(design(*size, tasks=3), str(size), 300))


def test_a_check_fails_where_it_should() -> None:
    assert not checks.Check("", "", "coverage", 0.95, 0.90, 1000).passes
    assert not checks.Check("", "", "size", 0.05, 0.08, 1000).passes
    assert not checks.Check("", "", "power", 0.80, 0.70, 1000).passes
    assert checks.Check("", "", "coverage", 0.95, 0.925, 1000).passes
