"""The mixed model agrees with statsmodels' own formula interface and refuses what it cannot fit."""

import numpy as np
import polars
import pytest
from known_truth.simulation import GRID, Design, planted_optimum, runs
from statistics_settings import statistics

from warmup.statistics.base.outcomes import with_outcome
from warmup.statistics.effect import mixed_model

WARMUPS = (0.0, 0.02, 0.1, 0.3)
SETTINGS = statistics(bootstrap={"resamples": 400, "seed": 1})


def table(**changes: object) -> polars.DataFrame:
    design = Design(**{"architectures": 3, "tasks": 2, "seeds": 4, "warmups": WARMUPS, **changes})  # type: ignore[arg-type]
    return runs(design, seed=2)


@pytest.mark.parametrize("grouping", ["seed", "world"])
def test_coefficients_and_errors_are_those_of_statsmodels(grouping: str) -> None:
    from statsmodels.formula.api import mixedlm

    part = with_outcome(table(icc=0.6))
    found = mixed_model.fit(part, grouping, SETTINGS)
    frame = part.select(*mixed_model.GROUPINGS["world"], "outcome", "warmup").to_pandas()
    frame["position"] = np.log(frame["warmup"] + 0.005)
    frame["response"] = np.log(frame["outcome"])
    frame["group"] = frame[list(mixed_model.GROUPINGS[grouping])].astype(str).agg("/".join, axis=1)
    formula = f"response ~ {mixed_model.formula(part, SETTINGS)}"
    expected = mixedlm(formula, frame, groups=frame["group"]).fit(method="powell")
    assert found.effects == pytest.approx(expected.fe_params.to_numpy(), rel=1e-4, abs=1e-8)
    if grouping == "world":  # where the group variance is clear of zero, statsmodels' own errors exist
        assert np.sqrt(np.diag(found.covariance)) == pytest.approx(expected.bse_fe.to_numpy(), rel=1e-3)
        assert found.group_variance == pytest.approx(float(expected.cov_re.iloc[0, 0]), rel=1e-2)
        assert found.residual_variance == pytest.approx(expected.scale, rel=1e-3)


def test_a_planted_interaction_is_found_and_a_common_effect_is_not_mistaken_for_one() -> None:
    early, late = planted_optimum(WARMUPS, 0.0, 0.3), planted_optimum(WARMUPS, 0.3, 0.3)
    different = mixed_model.mixed_model(table(regret=np.stack([early] * 2 + [late] * 4)), SETTINGS)
    common = mixed_model.mixed_model(table(regret=early), SETTINGS)
    p = {
        name: each.filter(kind="test", grouping="world")["p"].to_list()
        for name, each in (("d", different), ("c", common))
    }
    assert p["d"][0] < 0.01 and p["d"][1] < 0.01
    assert p["c"][0] < 0.01 and p["c"][1] > 0.05


def test_effects_are_relative_changes_against_the_reference_with_limits() -> None:
    regret = planted_optimum(WARMUPS, 0.3, 0.4)
    effects = mixed_model.mixed_model(table(regret=regret, sd=0.005), SETTINGS).filter(kind="effect", grouping="world")
    assert effects.height == 3 * 3 and set(effects["reference"]) == {0.0}
    for row in effects.iter_rows(named=True):
        truth = (2.0 + regret[WARMUPS.index(row["warmup"])]) / (2.0 + regret[0]) - 1.0
        assert row["low"] < row["estimate"] < row["high"]
        assert row["estimate"] == pytest.approx(truth, abs=0.01)


def test_variances_and_icc_are_those_planted() -> None:
    found = mixed_model.mixed_model(table(seeds=40, icc=0.75, sd=0.1), SETTINGS).filter(
        kind="variance", grouping="world"
    )
    share = found.filter(polars.col("term").str.contains("ICC"))["estimate"][0]
    assert share == pytest.approx(0.75, abs=0.08)


def test_few_groups_give_no_variance_and_say_so() -> None:
    found = mixed_model.mixed_model(table(), SETTINGS).filter(kind="variance", grouping="seed", term="group")
    assert found["estimate"].to_list() == [None] and "do not determine a variance" in found["note"][0]


def test_one_architecture_can_say_that_warmup_matters_but_not_that_architectures_differ() -> None:
    found = mixed_model.mixed_model(table(architectures=1), SETTINGS).filter(kind="test", grouping="world")
    assert found["verdict"].to_list() == ["ok", "cannot say", "ok"]
    assert "one architecture only" in found["note"][1]
    single = mixed_model.mixed_model(table(tasks=1), SETTINGS).filter(kind="test", grouping="world")
    assert single["verdict"].to_list() == ["ok", "ok", "cannot say"] and "one task only" in single["note"][2]


def test_tasks_that_differ_do_not_hide_an_architecture_and_opposite_effects_do_not_cancel() -> None:
    early, late = planted_optimum(WARMUPS, 0.0, 0.1), planted_optimum(WARMUPS, 0.3, 0.1)
    differ = np.stack([cell + 5 * other for cell in (early, late, late) for other in (early, late)])
    opposite = np.stack([early, late] * 3)
    p = {
        name: mixed_model.mixed_model(table(regret=regret), SETTINGS)
        .filter(kind="test", grouping="world")["p"]
        .to_list()
        for name, regret in (("differ", differ), ("opposite", opposite))
    }
    assert max(p["differ"]) < 0.01
    assert p["opposite"][0] < 0.01 and p["opposite"][1] > 0.05 and p["opposite"][2] < 0.01


def test_each_recipe_has_its_own_model() -> None:
    both = polars.concat([table(), table(sd=0.03).with_columns(recipe=polars.lit("wsd"))])
    found = mixed_model.mixed_model(both, SETTINGS)
    assert set(found["recipe"]) == {"adamw", "wsd"} and set(found["verdict"]) >= {"ok"}


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (table(seeds=1), "1 of the 3 seeds"),
        (table(seeds=2), "2 of the 3 seeds"),
        (table(warmups=(0.0, 0.1)), "three warmups"),
        (table().with_columns(best_validation_loss=polars.lit(-1.0)), "no logarithm"),
        (table().filter((polars.col("architecture") != "a01") | (polars.col("warmup") == 0.0)), "were not run"),
        (
            table().filter(
                (polars.col("architecture") != "a01") | (polars.col("task") == "t0") | (polars.col("seed") == 0)
            ),
            "two complete seeds",
        ),
    ],
)
def test_what_cannot_be_fitted_says_why(part: polars.DataFrame, reason: str) -> None:
    found = mixed_model.mixed_model(part, SETTINGS)
    assert set(found["verdict"]) == {"cannot say"}
    assert all(reason in note for note in found["note"]) and found["p"].null_count() == found.height


def test_840_runs_are_modelled_in_well_under_a_minute() -> None:
    import time

    whole = runs(Design(architectures=4, tasks=3, seeds=10, warmups=GRID, regret=planted_optimum(GRID, 0.05, 0.1)))
    start = time.process_time()
    found = mixed_model.mixed_model(whole, statistics())
    assert time.process_time() - start < 30.0
    assert found.filter(kind="test", grouping="world")["p"][0] < 0.01
