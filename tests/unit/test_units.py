"""In which unit the need of warmup is the same: planted units are named, flat studies are not answered."""

from typing import Any

import numpy as np
import polars
import pytest
from known_truth import unit_checks
from known_truth.unit_checks import CORNERS, SETTINGS, SIZES, WARMUPS

from warmup.config import grid
from warmup.plots import prediction
from warmup.statistics.unit import units
from warmup.statistics.unit.curves import UNITS, Corner, predictor
from warmup.statistics.words import questions
from warmup.statistics.words import units as unit_words

STUDIES = 100
WORDS: dict[str, Any] = {"labels": {"a0": "GPT-2", "t": "text"}, "question": "unit"}


def said(tables: dict[str, polars.DataFrame]) -> questions.Reply:
    """What the report says first."""
    reply = questions.reply(tables, WORDS)
    assert reply is not None
    return reply


@pytest.mark.parametrize("unit", UNITS)
def test_without_noise_each_corner_gets_its_own_best_warmup_in_the_true_unit(unit: str) -> None:
    costs = unit_checks.truth(unit, 3.0)
    corners = tuple(CORNERS.values())
    inside = [index for index in range(len(corners)) if 0 < costs[index, 1:].argmin() < len(WARMUPS) - 2]
    assert len(inside) >= 2
    for index in inside:
        others = np.delete(costs, index, axis=0).ravel()
        chosen = int((predictor(corners, WARMUPS, index, unit) @ others).argmin())
        assert costs[index, chosen] <= costs[index].min() + 0.4


def test_levels_of_corners_do_not_move_the_curve() -> None:
    corners = tuple(CORNERS.values())
    matrix = predictor(corners, WARMUPS, 0, "steps")
    levels = np.repeat(np.arange(len(corners) - 1.0), len(WARMUPS))
    moved = matrix @ levels
    assert moved == pytest.approx(moved[0], abs=1e-6)


def test_a_warmup_keeps_its_amount_in_its_own_unit_alone() -> None:
    short, long = Corner(80, 8, 0.9), Corner(320, 32, 0.975)
    assert [long.scale(unit) / short.scale(unit) for unit in UNITS] == pytest.approx([1, 4, 16, 1, 4])


def test_a_seed_is_scored_where_other_seeds_chose() -> None:
    runs = unit_checks.runs(unit_checks.truth("steps", 3.0), np.random.default_rng(0), places=1)
    first, bare = polars.col("seed") % 10 == 0, polars.col("warmup") == 0.0
    spoilt = polars.col("best_validation_loss") - polars.when(first & bare).then(0.2).otherwise(0.0)
    before, after = (
        units.place(runs.with_columns(outcome=outcome), SIZES, SETTINGS)
        for outcome in (polars.col("best_validation_loss"), spoilt)
    )
    assert isinstance(before, units.Place) and isinstance(after, units.Place)
    chosen = [[place.chosen(index, "steps") for index in range(len(CORNERS))] for place in (before, after)]
    assert [arms[0] for arms in chosen[0]] == [arms[0] for arms in chosen[1]]
    assert all(arms[1] == 0 for arms in chosen[1]) and any(arms[1] != 0 for arms in chosen[0])


def test_limits_add_up_the_paired_variances_of_corners() -> None:
    values = np.array([[0.0, 1.0, 2.0], [0.0, 3.0, 1.0], [0.0, 2.0, 6.0]])
    corner = units.Scored(values, {"a": np.array([1, 1, 1]), "b": np.array([0, 0, 0]), "c": np.array([2, 0, 1])})
    assert corner.contrast("a", "b") == (2.0, 1.0, 2)
    difference, square, _ = corner.contrast("c", "b")
    assert difference == pytest.approx((2.0 + 0.0 + 2.0) / 3)
    assert square == pytest.approx((7.0 + 0.0 + 1.0) / 3)
    expected = 2.0, 2.0 - 2.776445 / 2**0.5, 2.0 + 2.776445 / 2**0.5  # t with 4 degrees of freedom
    assert units.mean_limits([corner.contrast("a", "b")] * 2, 0.95) == pytest.approx(expected, rel=1e-5)
    assert units.mean_limits([corner.contrast("a", "a")] * 2, 0.95) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("unit", UNITS)
def test_a_planted_unit_is_named(unit: str) -> None:
    answers = unit_checks.tables(unit, seed=1, noise=0.2)["unit_answers"]
    assert answers.filter(architecture=units.ALL)["unit"].to_list() == [unit]


@pytest.mark.slow
def test_planted_units_are_named_in_nine_of_ten_studies_and_flat_ones_in_no_more_than_one_of_twenty() -> None:
    for share in unit_checks.checks(3, STUDIES):
        assert share.share >= 0.9 if share.kind == "power" else share.plausible, share


def test_a_flat_study_cannot_say_and_says_what_is_at_stake() -> None:
    tables = unit_checks.tables(None, seed=3)
    answer = tables["unit_answers"].filter(architecture=units.ALL).row(0, named=True)
    assert answer["unit"] is None and answer["verdict"] == "cannot say" and 0.0 < answer["at_stake_high"] < 1.0
    first = said(tables).sentences[0]
    assert first.startswith("Over all, it cannot be said in which unit the need of warmup is the same (16 corners)")


def test_the_answer_names_the_unit_and_what_it_costs() -> None:
    tables = unit_checks.tables("time_constants", seed=1, noise=0.2)
    reply = said(tables)
    assert reply.sentences[0].startswith(
        "Over all, the need of warmup is the same in steps over the second moment's memory 1 / (1 - beta2): "
        "counted so it costs less than in every other unit tried ("
    )
    assert any(sentence.startswith("For GPT-2 on text, ") for sentence in reply.sentences)
    assert {row[1] for row in reply.rows} == set(unit_words.UNIT_NAMES.values())


def test_the_untuned_rule_is_judged_where_a_warmup_lies_near_it() -> None:
    regrets = unit_checks.tables("time_constants", seed=1, noise=0.2)["unit_regrets"]
    rule = regrets.filter(architecture=units.ALL, unit=units.RULE).row(0, named=True)
    assert rule["n"] == 2 * 6 and rule["excluded"] is None  # 80 steps have no room for 2 / (1 - 0.975)


def test_a_failed_run_counts_five_margins_and_no_more() -> None:
    runs = unit_checks.runs(unit_checks.truth("steps", 3.0), np.random.default_rng(2))
    failed = runs.with_columns(
        best_validation_loss=polars.when((polars.col("recipe") == "c0") & (polars.col("warmup") == 0.0))
        .then(1e6)
        .otherwise(polars.col("best_validation_loss"))
    )
    curves = units.unit_tables(failed, SIZES, SETTINGS)["unit_curves"]
    assert curves.filter(recipe="c0", warmup=0.0)["excess"].max() <= units.CEILING + 1e-9


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda runs: runs.filter(polars.col("recipe").is_in(["c0", "c1", "c2"])), "fewer than 4 corners"),
        (lambda runs: runs.filter(polars.col("warmup") < 0.03), "fewer than three warmups"),
        (lambda runs: runs.with_columns(polars.col("seed") % 10), "corners share seeds"),
        (lambda runs: runs.filter(polars.col("seed") % 10 == 0), "fewer than two seeds have every warmup with c0"),
    ],
)
def test_a_study_that_is_none_of_corners_is_refused_with_the_reason(spoil: Any, reason: str) -> None:
    runs = spoil(unit_checks.runs(unit_checks.truth(None, 0.0), np.random.default_rng(0)))
    tables = units.unit_tables(runs, SIZES, SETTINGS)
    assert tables["unit_answers"]["verdict"].to_list() == ["cannot say"] * 2 and tables["unit_regrets"].is_empty()
    assert reason in tables["unit_answers"]["note"][0]
    assert reason in said(tables).sentences[0]


def test_recipes_that_differ_in_beta2_alone_are_no_corners() -> None:
    runs = unit_checks.runs(unit_checks.truth(None, 0.0), np.random.default_rng(0), places=1)
    alike = {name: {"t": (80, 8, corner.beta2)} for name, corner in CORNERS.items()}
    assert "do not differ" in units.unit_tables(runs, alike, SETTINGS)["unit_answers"]["note"][0]


def test_the_figure_has_a_panel_for_every_unit_and_place() -> None:
    drawing = prediction.unit_curves(unit_checks.tables("steps", seed=1), WORDS["labels"])
    assert len(drawing.axes) == len(UNITS) * 2 and set(prediction.UNIT_WORDS) == set(UNITS)


def test_corners_are_read_from_recipes() -> None:
    settings = {
        "recipes": {"a": {"steps": 80, "batch_sizes": {"t": 16}, "betas": [0.9, 0.975]}},
        "tasks": {"t": {"batch_size": 32}},
        "training": {"steps": 150},
    }
    assert grid.corners(settings, [grid.Run("x", "t", "a", "0", "1")]) == {"a": {"t": [80, 16, 0.975]}}
