"""Warmup and peak rate together: two estimands side by side, rates that can be used, and a best warmup that moves."""

from typing import Any

import numpy as np
import polars
import pytest
from known_truth import rate_checks
from known_truth.rate_checks import MARGIN, RATES, SETTINGS, WARMUPS

from warmup.statistics.effect import rates
from warmup.statistics.words import questions

WORDS = {"labels": {"a00": "GPT-2", "t0": "text"}, "question": "learning_rate"}


def found(
    world: str, seeds: int = 6, noise: float = 0.001, **changes: Any
) -> tuple[polars.DataFrame, polars.DataFrame]:
    """The two tables of two architectures in one of the worlds."""
    runs = rate_checks.runs(rate_checks.worlds()[world], seeds, noise, np.random.default_rng(1), cells=2)
    return rates.rate_tables(runs.with_columns(**changes), SETTINGS)


def test_a_rate_that_only_warmup_makes_usable_is_a_raised_one() -> None:
    table, answers = found("raised")
    assert answers["raises"].to_list() == [True, True] and answers["lowers"].to_list() == [False, False]
    rows = table.filter(architecture="a00").to_dicts()
    assert rows[0]["usable_high"] < RATES[-1] == rows[1]["usable_low"]
    assert all(row["benefit"] == pytest.approx(-0.5, abs=0.01) and row["benefit_p_holm"] < 0.001 for row in rows[1:])
    assert rows[0]["benefit"] is None


def test_each_warmup_has_the_rate_that_suits_it_and_the_fixed_one_is_for_all() -> None:
    truth = np.zeros((3, 4)) + np.array([[0.2], [0.0], [0.3]])
    truth[0, 0] = -0.1  # without warmup the lowest rate is best
    runs = rate_checks.runs(truth, 6, 0.001, np.random.default_rng(2), cells=2)
    table, answers = rates.rate_tables(runs, SETTINGS)
    rows = table.filter(architecture="a00").to_dicts()
    assert {row["fixed_rate"] for row in rows} == {RATES[1]}
    assert [row["tuned_rate"] for row in rows] == [RATES[0], RATES[1], RATES[1], RATES[1]]
    assert rows[0]["fixed_regret"] < MARGIN and rows[0]["tuned_regret"] == 0.0
    assert rows[1]["tuned_regret"] == pytest.approx(0.1, abs=0.01)
    assert answers["tuned_recommended"].to_list() == [0.0, 0.0]


def test_a_seed_is_measured_at_the_rate_that_the_others_choose() -> None:
    values = np.array([[[1.0], [2.0]], [[2.0], [1.0]], [[2.0], [1.5]]])  # [seeds, rates, warmups]
    one = rates.Sweep("a", "t", ("low", "high"), (1e-3, 1e-2), (0.0,), values, np.zeros(values.shape, dtype=bool))
    assert one.tuned.values[:, 0].tolist() == [2.0, 2.0, 2.0]


def test_a_best_warmup_that_moves_with_the_rate_is_found() -> None:
    truth = np.full((3, 4), 0.3)
    truth[0, 0] = truth[1, 1] = truth[2, 3] = 0.0
    runs = rate_checks.runs(truth, 6, 0.001, np.random.default_rng(3), cells=2)
    _, answers = rates.rate_tables(runs, SETTINGS)
    assert answers["best_moves"].to_list() == [True, True] and answers["everywhere"].to_list() == [[], []]
    _, still = found("nothing matters")
    assert still["best_moves"].to_list() == [False, False] and still["everywhere"].to_list() == [list(WARMUPS)] * 2


@pytest.mark.parametrize(
    ("seeds", "changes", "reason"),
    [
        (1, {}, "one seed has no spread"),
        (3, {"peak_learning_rate": polars.lit(1e-3)}, "its recipes do not differ in their peak rate"),
        (3, {"warmup": polars.lit(0.0)}, "one warmup only"),
    ],
)
def test_what_cannot_be_asked_is_said_with_its_reason(seeds: int, changes: dict[str, Any], reason: str) -> None:
    runs = rate_checks.runs(np.zeros((3, 4)), seeds, 0.01, np.random.default_rng(1), cells=1).with_columns(**changes)
    table, answers = rates.rate_tables(runs.unique(["recipe", "warmup", "seed"], maintain_order=True), SETTINGS)
    assert table.is_empty() and answers["verdict"].to_list() == ["cannot say"]
    assert answers["note"][0] == f"cannot say: {reason}"
    (sentence,) = questions.learning_rate({"rate_answers": answers}, WORDS).sentences
    assert (
        sentence == f"Whether warmup and learning rate depend on each other cannot be said: GPT-2 on text ({reason})."
    )


def test_the_report_answers_both_estimands_and_both_questions() -> None:
    reply = questions.learning_rate({"rate_answers": found("raised")[1]}, WORDS)
    text = " ".join(reply.sentences)
    assert "Warmup raises the learning rate that can be used in 2 of 2 cells and lowers it in 0" in text
    assert "The best warmup moves with the rate in 0 of 2 cells" in text
    assert (
        "At one fixed rate, training without warmup is excluded in 2" in text and "tuned for each warmup in 2" in text
    )
    assert reply.rows[0][0] == "GPT-2 on text" and "raises it" in reply.rows[0]
    assert all(len(row) == len(reply.header) for row in reply.rows)


@pytest.mark.slow
def test_what_is_said_of_rates_is_false_no_more_often_than_promised() -> None:
    for check in rate_checks.checks(seeds=5, studies=100):  # critical values of twelve arms are slow to simulate
        assert check.plausible, check
