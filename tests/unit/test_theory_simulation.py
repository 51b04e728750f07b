"""Walkers in the full landscape against the reduced model: agreement where time scales part, and its end."""

from typing import Any

import numpy as np
import polars
import pytest
from theory_landscapes import harmonic, shipped

from warmup.theory import simulation, strong_points
from warmup.theory.landscapes import Landscape

SHIPPED = shipped()


def compare(land: Landscape, **changes: Any) -> polars.DataFrame:
    options: dict[str, Any] = {
        "plateaus": [3 * land.final],
        "separations": [1000.0],
        "until": 0.15,
        "moments": 5,
        "walkers": 4000,
        "time_step": 0.01,
        "confidence": 0.95,
        "cells": 600,
        "seed": 1,
    }
    return simulation.compare(land, **(options | changes))


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_simulation_and_master_equation_agree_within_their_intervals(name: str) -> None:
    """At two plateaus, one of them the strong point where there is one; all rows at once at 95 %."""
    land = SHIPPED[name]
    etas = land.final * np.geomspace(0.5, 12, 60)
    best = strong_points.analyse(land, cells=200, modes=2, etas=etas, widening=0.2, tolerance=0.01).best
    found = compare(land, plateaus=sorted([3 * land.final, best or 6 * land.final]))
    assert found.filter(~polars.col("agrees")).is_empty()
    # The intervals are narrow enough to mean something: a tenth of what separates start and end.
    assert found.filter(quantity="above")["half_width"].max() < 0.04


def test_the_strong_point_leaves_the_slowest_mode_empty_in_the_full_landscape_too() -> None:
    land = SHIPPED["soft_valley"]
    etas = land.final * np.geomspace(0.5, 12, 60)
    found = strong_points.analyse(land, cells=200, modes=2, etas=etas, widening=0.2, tolerance=0.01)
    assert found.best is not None and found.reference is not None
    rows = compare(land, plateaus=[found.reference, found.best], walkers=8000).filter(quantity="slow_mode")
    cool, strong = rows.partition_by("plateau", maintain_order=True)
    assert (cool["simulated"] > cool["half_width"]).all()
    assert (strong["simulated"].abs() < strong["half_width"]).all()


def test_agreement_ends_where_the_valley_is_as_slow_as_the_river() -> None:
    found = compare(SHIPPED["soft_valley"], separations=[1000.0, 1.0])
    fast, slow = (found.filter(separation=value, quantity="loss") for value in (1000.0, 1.0))
    assert fast["agrees"].all()
    assert not slow["agrees"].any()


def test_an_even_valley_is_simulated_once_because_the_river_does_not_feel_it() -> None:
    assert compare(harmonic(), separations=[1000.0, 1.0])["separation"].unique().to_list() == [1000.0]


def test_intervals_cover_as_often_as_they_say() -> None:
    """Joint 80 % intervals on a process whose reduced model is exact: Bonferroni may only be on the safe side."""
    land = harmonic(stiffness=1.0, final=0.2)
    joint = [compare(land, walkers=400, confidence=0.8, seed=seed)["agrees"].all() for seed in range(60)]
    assert sum(joint) >= 42  # 80 % of 60 is 48; below 42 has a probability of 2 %


def test_walkers_at_rest_stay_at_rest() -> None:
    for name in ("soft_valley", "river"):
        land = SHIPPED[name]
        found = compare(land, plateaus=[land.final])
        assert found["agrees"].all(), name


def test_the_same_seed_gives_the_same_walkers_and_landscapes_do_not_share_theirs() -> None:
    first, again, other = (compare(harmonic(), walkers=200, seed=seed) for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first["simulated"].equals(other["simulated"])


def test_the_start_is_the_law_at_rest() -> None:
    land = harmonic(stiffness=2.0, final=0.2)
    sample = simulation._draw(land, 0.5, 20_000, np.random.default_rng(0))
    assert sample.mean() == pytest.approx(0, abs=0.002)
    assert sample.var() == pytest.approx(0.25, rel=0.005)
