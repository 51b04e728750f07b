"""What the statistics promise holds on studies of known truth: the small form of benchmarks/simulations.py.

docs/simulations.md has the large form, with every rate. Here a promise fails where its false rate is clearly above
0.05: by more than four Monte-Carlo errors (some hundred rates are looked at).
"""

import pytest
from known_truth import promises, worlds
from known_truth.promises import Tally

pytestmark = pytest.mark.slow

STUDIES = 300


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Critical values of this form come from fewer null studies, which leaves them on the safe side."""
    monkeypatch.setattr(promises, "DRAWS", 6000)


def held(name: str, found: dict[str, Tally]) -> None:
    broken = {
        what: tally.share
        for what, tally in found.items()
        if tally.kind == "false" and tally.share > 0.05 + 4 * (0.05 * 0.95 / tally.count) ** 0.5
    }
    assert not broken, f"{name}: {broken}"


@pytest.mark.parametrize("seeds", worlds.SEEDS)
def test_what_is_said_of_a_cell_is_false_in_at_most_five_in_a_hundred(seeds: int) -> None:
    for index, world in enumerate(worlds.cell_worlds(seeds)):
        if (world.name, seeds) not in worlds.KNOWN_LIMITS and not world.design.missing:
            held(world.name, promises.of_a_cell(world.design, 1.0, STUDIES, 100 + index, world.valley))


def test_missing_runs_break_no_promise() -> None:
    world = next(world for world in worlds.cell_worlds(3) if world.design.missing)
    held(world.name, promises.of_a_cell(world.design, 1.0, STUDIES, 7))


@pytest.mark.parametrize("seeds", [2, 5])
def test_what_is_said_of_twelve_cells_together_is_false_in_at_most_five_in_a_hundred(seeds: int) -> None:
    for world in worlds.study_worlds(seeds):
        held(world.name, promises.of_a_study(world.design, 1.0, STUDIES, 9))


def test_three_margins_are_found_and_the_mean_width_never_rises_with_the_seeds() -> None:
    costly = {
        seeds: next(w for w in worlds.cell_worlds(seeds) if w.name == "no warmup three margins worse")
        for seeds in (2, 5)
    }
    found = {seeds: promises.of_a_cell(world.design, 1.0, STUDIES, 11) for seeds, world in costly.items()}
    assert found[2]["no warmup excluded"].share > 0.55 and found[5]["no warmup excluded"].share > 0.95
    assert found[2]["some warmup demonstrated"].share > 0.12 and found[5]["some warmup demonstrated"].share > 0.45
    widths = [promises.of_the_width(seeds, STUDIES).share for seeds in (2, 3, 4, 5, 7)]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("seeds", [3, 10])
def test_gaps_and_seeds_named_by_the_power_table_are_found_as_often_as_it_says(seeds: int) -> None:
    grid = worlds.grid(seeds)
    assert promises.of_the_seeds_named(grid, worlds.NOISE, STUDIES)[1].share > 0.75
    share = promises.of_the_gap(worlds.design(seeds, [0.0] * len(grid)), 4 * STUDIES).share  # chance alone: 0.012
    assert share == pytest.approx(0.8, abs=0.07)


def test_the_mixed_model_keeps_its_size_and_finds_architectures_although_tasks_differ_more() -> None:
    designs = worlds.mixed_worlds()
    held("null", promises.of_the_mixed_model(designs["null"], STUDIES))
    everything, architectures, tasks = promises.MIXED_QUESTIONS
    differ = promises.of_the_mixed_model(designs["architectures differ, tasks do far more"], 40)
    assert differ[architectures].share > 0.8
    opposite = promises.of_the_mixed_model(designs["opposite in two tasks"], 40)
    assert opposite[everything].share > 0.8 and opposite[tasks].share > 0.8


def test_a_promise_that_is_broken_is_seen() -> None:
    assert not Tally("", "false", 0.08, 2000, 0.005).kept
    assert Tally("", "false", 0.05, 2000, 0.005).kept and Tally("", "found", 0.5, 2000, 0.01).kept
