"""A prediction names its diagnostic and its record, its interval covers, and its advice is plain."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import polars
import pytest
from known_truth import board_checks
from known_truth import trained_tables as synthetic

from warmup import files
from warmup.statistics.base.intervals import CANNOT_SAY
from warmup.statistics.effect import plateau
from warmup.statistics.prediction import leaderboard, maps, prediction, predictors

SETTINGS: dict[str, Any] = {
    "outcome": "best_validation_loss",
    "confidence": 0.95,
    "log_offset": 0.005,
    "folds": 5,
    "maps": ["log_linear"],
    "shuffles": 3,
    "constants": {"fractions": [0, 0.02, 0.05], "steps": [2000]},
    "interval_level": 0.8,
    "steps": 1000,
}
PLATEAU = {
    "outcome": "best_validation_loss",
    "confidence": 0.95,
    "reference": 0.0,
    "margins": {"default": {"relative": 0.005}},
}
MANY = tuple(np.geomspace(0.003, 0.08, 9).tolist())


def predict(
    design: synthetic.Design, new: tuple[float, ...] = (0.03,), swept: bool = False, seed: int = 1, **settings: Any
) -> list[dict[str, Any]]:
    """Predictions for architectures with the needs `new`, called new0 ..., from a finished study of `design`."""
    rng = np.random.default_rng(seed)
    runs, diagnostics = synthetic.runs(design, rng), synthetic.diagnostics(design, rng)
    chosen = SETTINGS | settings
    board, held_out = leaderboard.leaderboard(runs, diagnostics, plateau.plateaus(runs, PLATEAU)[0], chosen)
    others = replace(design, needs=new)
    renamed = polars.col("architecture").str.replace("net0", "new")
    probes = synthetic.diagnostics(others, rng).with_columns(renamed) if new else diagnostics.head(0)
    if swept:
        runs = polars.concat([runs, synthetic.runs(others, rng).with_columns(renamed, role=polars.lit("validate"))])
        diagnostics, probes = polars.concat([diagnostics, probes]), probes.head(0)
    sets = plateau.plateaus(runs, PLATEAU)[0]
    return prediction.predict(runs, diagnostics, probes, board, held_out, sets, chosen)


@pytest.fixture(scope="module")
def one() -> dict[str, Any]:
    return predict(synthetic.Design(needs=MANY, tasks=2, seeds=3))[0]


def test_a_prediction_is_near_the_need_and_says_what_it_was_read_off(one: dict[str, Any]) -> None:
    assert one["architecture"] == "new0"
    assert one["diagnostic"] == "early_spike"
    assert 0.01 < one["predicted"] < 0.08
    assert one["predicted_steps"] == int(one["predicted"] * 1000 + 0.5)
    assert one["low"] < one["predicted"] < one["high"]
    assert one["value"] > 1


def test_its_record_is_that_of_the_whole_procedure_out_of_sample(one: dict[str, Any]) -> None:
    assert one["record"]["predictor"] == "selected"
    assert one["record"]["versus_constant"] < 0
    assert one["record"]["architectures"] == 9


def test_the_advice_is_a_plain_sentence_with_steps_interval_and_record(one: dict[str, Any]) -> None:
    assert one["advice"].startswith("For new0 on task0, warm up over ")
    for part in (
        f"({one['predicted_steps']} of 1000 steps)",
        "for 80% of architectures like those swept",
        "early spike after",
        "(n = 9; seed noise alone would show ",
    ):
        assert part in one["advice"]


def test_every_candidate_s_prediction_is_listed(one: dict[str, Any]) -> None:
    named = {(row["diagnostic"], row["budget"]) for row in one["alternatives"]}
    assert named == {
        ("best_constant", 0),
        ("untuned", 0),
        ("early_spike", 10),
        ("early_spike", 100),
        ("noise_scale", 100),
    }


def test_predictions_are_json_and_a_table(one: dict[str, Any], tmp_path: Any) -> None:
    files.write_json({"predictions": [one]}, tmp_path / "predictions.json")
    assert json.loads((tmp_path / "predictions.json").read_text())["predictions"][0]["advice"] == one["advice"]
    table = prediction.table([one])
    assert table["predicted"][0] == one["predicted"]
    assert table["record_regret"][0] == one["record"]["regret"]
    files.write_table(table, tmp_path / "predictions.parquet", tmp_path / "predictions.csv")


def test_without_a_useful_diagnostic_the_best_constant_is_advised() -> None:
    found = predict(synthetic.Design(needs=MANY, tasks=2, seeds=3, informative=False))[0]
    assert found["diagnostic"] == "best_constant"
    assert "No diagnostic did better out of sample" in found["advice"]
    assert found["record"]["predictor"] == "best_constant"


def test_an_interval_that_excludes_nothing_is_said_to(one: dict[str, Any]) -> None:
    whole = prediction.advice({**one, "low": 1e-17, "high": 1.0})
    assert "excludes no warmup at all" in whole and "lies between" not in whole
    half = prediction.advice({**one, "low": 1e-17, "high": 0.5})
    assert "lies between 0 % and 50 %" in half


def test_three_architectures_support_no_interval_at_eighty_percent() -> None:
    found = predict(synthetic.Design(needs=MANY[::4], tasks=2, seeds=3))[0]
    assert (found["low"], found["high"]) == (None, None)
    assert found["note"] == "no interval: 3 architectures reach 75% at most, 80% is asked for"
    assert "cannot be said from so few architectures" in found["advice"]


def test_one_architecture_gives_its_constant_without_a_record() -> None:
    found = predict(synthetic.Design(needs=(0.02,), tasks=2))[0]
    assert found["diagnostic"] == "best_constant"
    assert found["record"]["regret"] is None
    assert "no other architecture" in found["advice"]


def test_an_unfinished_study_cannot_say() -> None:
    found = predict(synthetic.Design(needs=(0.02,), tasks=1))[0]
    assert found["verdict"] == CANNOT_SAY
    assert found["advice"].startswith("Nothing can be said about the warmup of new0 on task0: 1 finished cells")


def test_a_swept_architecture_is_not_learnt_from_and_is_scored() -> None:
    design = synthetic.Design(needs=MANY, tasks=2, seeds=5)
    unseen, scored = predict(design, seed=3)[0], predict(design, swept=True, seed=3)[0]
    assert scored["predicted"] == unseen["predicted"]
    validation = scored["validation"]
    assert validation["optimum"] in synthetic.GRID
    assert validation["regret_low"] <= validation["regret"] <= validation["regret_high"]
    assert validation["in_plateau"] in (True, False)
    assert prediction.table([scored])["validation_optimum"][0] == validation["optimum"]


def test_a_diagnostic_that_the_new_architecture_lacks_is_not_chosen() -> None:
    rng = np.random.default_rng(5)
    design = synthetic.Design(needs=MANY, tasks=2, seeds=3)
    runs, diagnostics = synthetic.runs(design, rng), synthetic.diagnostics(design, rng)
    data = predictors.study(runs, diagnostics, SETTINGS)
    chosen, _ = predictors.select("architecture", data.curves, data, SETTINGS, ("unknown", "task0", "adamw"))
    assert chosen == predictors.BEST_CONSTANT


def test_an_architecture_s_score_is_its_error_on_the_same_task() -> None:
    scores = polars.DataFrame({"lineage": list("aabb"), "task": ["x", "y"] * 2, "error": [0.1, 5.0, 0.3, 7.0]})
    assert prediction.jackknife(0.0, "x", scores, 0.6)[1] == pytest.approx(0.3)
    assert prediction.jackknife(0.0, "new", scores, 0.6)[1] == pytest.approx(7.0)
    assert prediction.jackknife(0.0, "x", scores.head(0), 0.6)[0] is None


def test_nothing_to_predict_gives_an_empty_table() -> None:
    assert predict(synthetic.Design(), new=()) == []
    assert prediction.table([]).is_empty()


@pytest.mark.slow
def test_the_interval_holds_the_best_warmup_of_a_new_architecture_between_two_of_the_grid() -> None:
    (check,) = board_checks.interval_checks(seeds=2, studies=300, only="2.5 to 3.5")
    assert check.plausible, check


def test_curves_of_plans_carry_no_outcomes_of_the_target() -> None:
    curve = maps.Curve("a", "t", "r", 100, 0.005, np.array([0.0, 0.1]), np.ones((2, 2)))
    blank = prediction._blank(("new", "t", "r"), [curve])
    assert blank.values.size == 0
    assert (blank.architecture, blank.steps) == ("new", 100)
