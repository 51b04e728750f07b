"""Arms of recipes are compared paired by seed, against references that are named, in families that are corrected."""

from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from known_truth.mechanism_runs import STEPS, write_run
from known_truth.trained_tables import Design, run_row
from scipy import stats

from warmup.plots import recipes as drawings
from warmup.statistics.effect import recipe_arms

SETTINGS = {"outcome": "best_validation_loss", "confidence": 0.95}
RECIPES = {
    "adamw": {"optimizer": "adamw", "tau": None},
    "cap_small": {"optimizer": "adamw2", "tau": 1e-3},
    "cap_large": {"optimizer": "adamw2", "tau": 1e-1},
}
LEVELS = {("adamw", 0.0): 2.0, ("adamw", 0.1): 1.8, ("cap_small", 0.0): 1.9, ("cap_large", 0.0): 2.0}


def runs(seeds: int = 6, noise: float = 0.01, tasks: tuple[str, ...] = ("text",)) -> polars.DataFrame:
    draw = np.random.default_rng(0)
    rows = []
    for task in tasks:
        for seed in range(seeds):
            shared = draw.normal(0, 0.2)
            for (recipe, warmup), level in LEVELS.items():
                loss = level + shared + draw.normal(0, noise)
                rows.append(run_row(Design(), "net", task, warmup, seed, loss) | {"recipe": recipe})
    return polars.DataFrame(rows)


def arm(table: polars.DataFrame, family: str, recipe: str, warmup: float) -> dict[str, Any]:
    return table.filter(
        polars.col("family") == family, polars.col("recipe") == recipe, polars.col("warmup") == warmup
    ).row(0, named=True)


def test_differences_are_paired_t_intervals_against_the_first_recipe_without_warmup() -> None:
    table = runs()
    found = arm(recipe_arms.recipe_arms(table, RECIPES, SETTINGS), "without warmup", "cap_small", 0.0)
    pick = {
        recipe: table.filter(polars.col("recipe") == recipe, polars.col("warmup") == 0).sort("seed")[
            "best_validation_loss"
        ]
        for recipe in RECIPES
    }
    expected = stats.ttest_rel(pick["cap_small"], pick["adamw"])
    interval = expected.confidence_interval(0.95)
    assert found["p"] == pytest.approx(expected.pvalue)
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high))
    assert found["verdict"] == "better" and found["reference_recipe"] == "adamw" and found["reference_warmup"] == 0


def test_the_second_reference_is_the_first_recipe_at_its_best_warmup() -> None:
    table = recipe_arms.recipe_arms(runs(), RECIPES, SETTINGS)
    best = arm(table, "at its best warmup", "adamw", 0.1)
    assert best["verdict"] == "reference" and best["difference"] is None
    assert arm(table, "at its best warmup", "cap_small", 0.0)["verdict"] == "worse"
    assert arm(table, "without warmup", "cap_large", 0.0)["verdict"] == "inconclusive"


def test_p_is_corrected_over_the_arms_of_a_family() -> None:
    table = recipe_arms.recipe_arms(runs(), RECIPES, SETTINGS).filter(polars.col("family") == "without warmup")
    tested = table.drop_nulls("p").sort("p")
    assert tested["p_holm"][0] == pytest.approx(3 * tested["p"][0])
    assert (tested["p_holm"] >= tested["p"]).all()


def test_one_seed_cannot_say_and_says_why() -> None:
    table = recipe_arms.recipe_arms(runs(seeds=1), RECIPES, SETTINGS)
    row = arm(table, "without warmup", "cap_small", 0.0)
    assert row["verdict"] == "cannot say" and "one seed" in row["note"] and row["difference"] is None


def test_the_cells_of_a_task_are_pooled_but_only_those_with_the_same_arms() -> None:
    table = runs(seeds=3)
    twin = table.with_columns(architecture=polars.lit("twin"))
    odd = table.filter(polars.col("recipe") != "cap_large").with_columns(architecture=polars.lit("odd"))
    found = recipe_arms.recipe_arms(polars.concat([table, twin, odd]), RECIPES, SETTINGS)
    methods = {
        name: set(found.filter(polars.col("architecture") == name)["method"].drop_nulls())
        for name in ("net", "twin", "odd")
    }
    assert methods["net"] == methods["twin"] == {"paired, shape shrunk over 2 cells"}
    assert methods["odd"] == {"paired t"}


def test_without_the_first_recipe_unwarmed_there_is_no_first_reference() -> None:
    table = runs().filter(~((polars.col("recipe") == "adamw") & (polars.col("warmup") == 0)))
    found = recipe_arms.recipe_arms(table, RECIPES, SETTINGS).filter(polars.col("family") == "without warmup")
    assert set(found["verdict"]) == {"cannot say"}


def test_implied_caps_are_the_formula_at_each_probed_step(tmp_path: Path) -> None:
    path = write_run(tmp_path, 0, np.ones(STEPS), np.full(STEPS, 0.5))
    caps = recipe_arms.implied_warmup([path])
    assert set(caps["source"]) == {"implied"} and set(caps["tau"]) == set(recipe_arms.TAUS)
    # sigma_1(W) = 2, sigma_1(U) = 40 then 4, lr = 1e-2: tau 0.1 gives 0.1 x 2 / (1e-2 x 40) = 0.5, then 5 -> 1
    curve = caps.filter(polars.col("tau") == 0.1).sort("step")
    assert curve["step"].to_list() == [0, 50]
    assert curve["median"].to_list() == pytest.approx([0.5, 1.0])
    assert curve["binding"].to_list() == [1.0, 0.0]


def test_loss_curves_hold_training_means_and_validations(tmp_path: Path) -> None:
    curves = recipe_arms.loss_curves([write_run(tmp_path, 3, np.ones(STEPS), np.full(STEPS, 0.5))])
    training = curves.filter(polars.col("kind") == "training")
    assert training["value"][0] == pytest.approx(3.0) and training["step"][-1] == STEPS - 1
    validation = curves.filter(polars.col("kind") == "validation")
    assert validation["value"].to_list() == pytest.approx([3.0, 2.3])


def test_every_figure_is_drawn_and_says_so_where_there_is_nothing(tmp_path: Path) -> None:
    table = runs(seeds=3)
    arms = recipe_arms.recipe_arms(table, RECIPES, SETTINGS)
    folders = [write_run(tmp_path, seed, np.ones(STEPS), np.full(STEPS, 0.5)) for seed in range(2)]
    caps = recipe_arms.implied_warmup(folders).with_columns(architecture=polars.lit("net"), task=polars.lit("text"))
    losses = recipe_arms.loss_curves(folders).with_columns(architecture=polars.lit("net"), task=polars.lit("text"))
    words = {"labels": {"adamw": "AdamW"}, "units": {"text": "nats"}, "outcome": "best_validation_loss"}
    tables = {"runs": table, "arms": arms, "losses": losses, "caps": caps}
    drawn = drawings.figures(tables, words)
    assert set(drawn) == {"recipe_losses", "recipe_outcomes", "tau_sensitivity", "implied_warmup"}
    only = arms.filter(polars.col("optimizer") != "adamw2")
    bare = drawings.figures(tables | {"arms": only, "caps": caps.clear()}, words)
    assert "no recipe with AdamW^2" in bare["tau_sensitivity"].axes[0].texts[0].get_text()
    assert "no run" in bare["implied_warmup"].axes[0].texts[0].get_text()
