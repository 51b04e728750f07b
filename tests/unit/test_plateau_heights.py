"""Plateau heights in real trainings: which recipes are compared, and what is said about them."""

import numpy as np
import polars
import pytest
from known_truth.plateau_tables import RECIPES, compare, recipe, runs

from warmup.theory.heights import families


def test_recipes_that_differ_in_more_than_the_plateau_are_not_compared() -> None:
    recipes = {
        "a": recipe(0.5),
        "b": recipe(None),
        "longer": recipe(0.5, decay=0.4),
        "longer_too": recipe(2.0, decay=0.4),
        "other_floor": recipe(0.25, floor=0.0),
        "cosine": recipe(0.25, schedule="cosine"),
        "labelled": recipe(0.25, label="anything"),
    }
    assert families(recipes, recipes) == [{0.25: "labelled", 0.5: "a", 1.0: "b"}, {0.5: "longer", 2.0: "longer_too"}]


def test_a_study_without_plateau_heights_has_none() -> None:
    assert families(RECIPES, ["cosine", "h1"]) == []


def test_a_higher_plateau_that_ends_lower_is_found_although_seeds_differ_far_more() -> None:
    _, differences = compare(runs({"h0.25": 0.0, "h0.5": 0.0, "h1": -0.05, "h2": 0.05}))
    verdicts = {(row["cooler"], row["hotter"]): row["verdict"] for row in differences.iter_rows(named=True)}
    assert verdicts[0.25, 1.0] == verdicts[0.5, 1.0] == "hotter lower"
    assert verdicts[1.0, 2.0] == verdicts[0.25, 2.0] == "hotter higher"
    assert verdicts[0.25, 0.5] == "no difference shown"


def test_limits_hold_the_true_difference() -> None:
    _, differences = compare(runs({"h0.5": 0.0, "h1": -0.03}))
    row = differences.row(0, named=True)
    assert row["difference_low"] < -0.03 < row["difference_high"]
    assert row["n"] == 6 and row["method"]


def test_where_nothing_differs_a_difference_is_rarely_shown() -> None:
    random = np.random.default_rng(0)
    shown = 0
    for _ in range(200):
        table = runs(dict.fromkeys(("h0.25", "h0.5", "h1"), 0.0), noise=0.0)
        losses = table["final_validation_loss"] + polars.Series(random.normal(0, 0.01, table.height))
        _, differences = compare(table.with_columns(final_validation_loss=losses))
        shown += int((differences["verdict"] != "no difference shown").any())
    assert shown <= 20  # 5 % of 200 is 10; above 20 has a probability of 0.2 %


def test_one_seed_cannot_say() -> None:
    arms, differences = compare(runs({"h0.5": 0.0, "h1": -1.0}, seeds=1))
    assert differences["verdict"].to_list() == ["cannot say"]
    assert differences["difference"].null_count() == 1 and differences["note"][0]
    assert arms["mean"].null_count() == 0


def test_a_diverged_run_counts_as_its_loss_at_initialisation() -> None:
    table = runs({"h0.5": 0.0, "h1": 0.0}).with_columns(
        status=polars.when(recipe="h1", seed=2).then(polars.lit("diverged")).otherwise("status"),
        final_validation_loss=polars.when(recipe="h1", seed=2).then(None).otherwise("final_validation_loss"),
    )
    arms, _ = compare(table)
    hot = arms.row(by_predicate=polars.col("height") == 1.0, named=True)
    assert hot["n"] == 6 and hot["diverged"] == 1
    assert 9.0 in hot["values"]


def test_architectures_borrow_the_shape_of_errors_from_other_architectures() -> None:
    _, differences = compare(runs({"h0.5": 0.0, "h1": -0.05}, seeds=3, architectures=("gpt2", "mamba", "rwkv")))
    assert differences["method"].str.contains("shrunk").all()
    assert (differences["verdict"] == "hotter lower").all()


@pytest.mark.parametrize("effect", [{"cosine": 0.0}, {"h1": 0.0, "cosine": 0.0}])
def test_without_heights_to_compare_the_tables_are_empty(effect: dict[str, float]) -> None:
    arms, differences = compare(runs(effect))
    assert arms.is_empty() and differences.is_empty()
