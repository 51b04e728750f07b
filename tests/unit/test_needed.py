"""How much warmup is needed: one rule for report, terminal and counts, and what it says to a newcomer."""

import re
from typing import Any

import numpy as np
import polars
import pytest
from known_truth.answered_study import WARMUPS, WORDS, study, tables
from statistics_settings import statistics

from warmup.statistics.base import outcomes
from warmup.statistics.effect import look_records, looks, plateau
from warmup.statistics.words import answers, needed, needed_shown

ALONE = {"reference": 0.0, "reference_verdict": "excluded"}


@pytest.fixture(scope="module")
def found() -> dict[str, polars.DataFrame]:
    """Ten seeds; the first architecture needs 10 %, to the second warmup makes no difference."""
    return tables(study())


def of(found: dict[str, polars.DataFrame], architecture: str, task: str = "t0") -> dict[str, Any]:
    return found["answer"].filter(architecture=architecture, task=task).row(0, named=True)


def test_what_is_needed_is_the_smallest_warmup_below_which_all_are_excluded(found: dict[str, polars.DataFrame]) -> None:
    row = of(found, "a00")
    assert (row["verdict"], row["at_least"], row["does"], row["no_warmup"]) == (
        "needs at least",
        0.1,
        [0.1],
        "excluded",
    )
    assert row["excluded"] == [0.0, 0.02, 0.3]
    assert (row["recommended"], row["recommended_steps"]) == (0.1, 100)


def test_what_does_is_named_where_nothing_below_it_is_excluded(found: dict[str, polars.DataFrame]) -> None:
    row = of(found, "a01")
    plateau_row = found["plateaus"].filter(architecture="a01", task="t0").row(0, named=True)
    assert row["verdict"] == "any of these does" and row["does"] == plateau_row["demonstrated"]
    assert row["at_least"] is None
    assert row["costs_at_most"] == plateau_row["recommended_high"] <= row["margin"]


def test_the_declared_warmup_excluded_alone_says_nothing_of_the_next_one() -> None:
    assert needed._least([0.0, 0.02, 0.1], ALONE | {"not_excluded": [0.0, 0.02, 0.1]}) == 0.02
    assert needed._least([0.0, 0.02, 0.1], ALONE | {"not_excluded": [0.1]}) == 0.1
    within = {"reference": 0.0, "reference_verdict": "within", "not_excluded": [0.0, 0.02]}
    assert needed._least([0.0, 0.02, 0.1], within) is None


def test_seeds_that_would_decide_follow_from_what_was_found() -> None:
    noisy = tables(study(seeds=3, sd=0.05))["answer"].filter(state="open").drop_nulls("more_seeds")
    assert noisy.height
    for row in noisy.iter_rows(named=True):
        assert row["more_runs"] == row["more_seeds"] * len(WARMUPS)
        assert row["more_minutes"] == pytest.approx(row["more_runs"] * 0.5)
    decided = tables(study())["answer"].filter(state="decided")
    assert decided.height and decided["more_seeds"].null_count() == decided.height


def test_a_cell_that_was_trained_at_one_warmup_asks_nothing() -> None:
    table = tables(study().filter((polars.col("architecture") == "a00") | (polars.col("warmup") == 0.0)))
    assert table["answer"]["architecture"].unique().to_list() == ["a00"]


def test_one_seed_leaves_all_undecided_with_the_reason() -> None:
    table = tables(study(seeds=1))["answer"]
    assert set(table["verdict"]) == {"undecided"} and table["recommended"].null_count() == table.height
    text = needed_shown.text(table, WORDS)
    assert "undecided: one seed has no spread" in text and "Nothing can be recommended" in text


def test_the_text_for_a_terminal_fits_a_hundred_columns_and_holds_every_cell(
    found: dict[str, polars.DataFrame],
) -> None:
    wide = found["answer"].join(polars.DataFrame({"copy": range(4)}), how="cross")
    many = wide.with_columns(task=polars.col("task") + polars.col("copy").cast(polars.String))
    for table in (found["answer"], many):
        text = needed_shown.text(table, WORDS)
        assert max(map(len, text.splitlines())) <= needed_shown.WIDTH
        assert text.count("take ") == table.height + 1  # and once in the sentences
        assert "\x1b" not in text and "\u00a0" not in text


def test_the_three_sentences_count_every_pair(found: dict[str, polars.DataFrame]) -> None:
    said = needed.sentences(found["answer"])
    assert len(said) == 3
    assert "0, 2, 10 and 30 % of training, for 2 architectures on 2 tasks, 10 times each" in said[0]
    assert "Of 4 pairs of architecture and task, 2 need warmup" in said[1] and "for 2 the warmups named" in said[1]
    assert "95 % confidence for each pair" in said[2]


def test_the_page_shows_each_warmup_as_what_is_known_of_it(found: dict[str, polars.DataFrame]) -> None:
    page = needed_shown.html(found["answer"].filter(architecture="a00", task="t0"), WORDS)
    chips = re.findall(r'class="chip (\w+)" title="[^"]*">([\d.]+)<', page)
    assert chips == [("out", "0"), ("out", "2"), ("does", "10"), ("out", "30")]
    assert 'data-task="text"' in page and "<strong" in page


def test_an_answer_of_looks_follows_the_same_rule_with_seeds_and_stops_of_each_cell() -> None:
    runs = study(seeds=10)
    settings = statistics() | {"looks": {"seeds": [3, 5, 7, 10], "extensions": [], "futile": 1.5, "spending": "late"}}
    records = []
    for cell in outcomes.cells(runs):
        rules = settings | {"margin": settings["margins"]["default"]}
        replayed = looks.replay(cell.block, [], rules, draws=2_000)
        records += [{**cell.key, "runs": 0, **vars(record)} for record in replayed]
    sets, regrets = look_records.plateaus(records, 0.95, {})
    table = needed.answer(sets, regrets, outcomes.steps(runs), {}, {})
    last = {(record["architecture"], record["task"]): record for record in look_records.last_of_cells(records)}
    for row in table.iter_rows(named=True):
        record = last[row["architecture"], row["task"]]
        assert (row["n"], row["state"]) == (record["n"], record["verdict"])
        assert row["does"] == sorted(arm["warmup"] for arm in record["arms"] if arm.get("demonstrated"))
    assert {"needs at least"} == set(table.filter(architecture="a00")["verdict"])
    assert "decided" in set(table["state"])


def test_costs_are_told_in_steps_where_two_budgets_were_measured(found: dict[str, polars.DataFrame]) -> None:
    runs = study(seeds=5)
    sets, regrets = plateau.plateaus(runs, statistics())
    (one,) = [key for key in outcomes.steps(runs) if key[0] == "a01"][:1]
    table = needed.answer(sets, regrets, outcomes.steps(runs), {}, {one[:2]: 0.5})
    told = table.filter(polars.col("costs_at_most_steps").is_not_null())
    assert told.select(outcomes.CELL).rows() == [one]
    (row,) = told.iter_rows(named=True)
    assert row["costs_at_most_steps"] == pytest.approx(np.exp(row["costs_at_most"] / 0.5) - 1)
    assert row["margin_steps"] == pytest.approx(np.exp(row["margin"] / 0.5) - 1)
    assert any(" steps gain" in line for line in needed.advice_in_words(row)) == (row["costs_at_most"] > 0)
    assert "more steps gain" in needed.explained(table, WORDS)
    assert "steps gain" not in needed.explained(found["answer"], WORDS)


def test_a_confidence_that_is_not_the_promised_one_is_explained(found: dict[str, polars.DataFrame]) -> None:
    whole = answers.answers(found, WORDS | {"confidence": 0.9875})[-1].sentences
    (said,) = [sentence for sentence in whole if "98.75 %" in sentence and "over all looks" in sentence]
    assert "Verdicts hold with 95 % confidence" in said
    assert not any("over all looks" in sentence for sentence in answers.sentences(found, WORDS))


def test_plateaus_of_a_fixed_design_are_decided_by_the_same_words_as_looks() -> None:
    sets, _ = plateau.plateaus(study(sd=0.3, regret=np.zeros((4, 4))), statistics())
    assert set(sets["state"]) <= {"decided", "open"} and sets.filter(state="open").height
    assert sets["still_in"].to_list() == [list(WARMUPS)] * 4
