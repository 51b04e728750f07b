"""The answer in sentences and the methods paragraph: computed, complete, and honest about what is missing."""

import docutils.core
import numpy as np
import polars
import pytest
from known_truth.answered_study import WARMUPS, WORDS, study, tables, validation_errors
from statistics_settings import statistics

from warmup.plots import effects
from warmup.statistics.words import answers, methods


def test_sentences_say_what_the_tables_hold() -> None:
    found = tables(study())
    text = " ".join(answers.sentences(found, WORDS))
    assert "scale laptop, 160 runs of 2 architectures on 2 tasks" in text and "n = 10 seeds" in text
    assert "no run diverged" in text and "warmups of 0, 2, 10 and 30 % of training" in text
    row = found["plateaus"].filter(architecture="a00", task="t0").row(0, named=True)
    assert row["not_excluded"] == [0.1]
    assert "For GPT-2 on text the plateau is 10 % alone (demonstrated for 10 %" in text
    assert "For Mamba on text nothing from 0 % to 30 % is excluded" in text
    assert "each cell at one peak learning rate (0.0006), the same for all warmups" in text
    assert "excluded from the plateau in 2 of 4 cells" in text


@pytest.mark.parametrize(("reach", "compared", "cells"), [(0.001, "less", 0), (0.5, "more", 4)])
def test_the_sampling_error_of_the_validation_set_stands_beside_the_margin(
    reach: float, compared: str, cells: int
) -> None:
    found = tables(study())
    found["validation_errors"] = validation_errors(found["plateaus"], reach)
    said = answers.sentences(found, WORDS)
    each = [sentence for sentence in said if "other validation examples would move" in sentence]
    assert len(each) == 4 and all(f"by up to {reach:g}, {compared} than the margin" in sentence for sentence in each)
    assert f"the 128 validation examples used: in {cells} of 4 cells the margin is smaller" in said[-1]
    unknown = found["validation_errors"].with_columns(verdict=polars.lit("cannot say"))
    assert "validation examples" not in " ".join(answers.sentences(found | {"validation_errors": unknown}, WORDS))


def test_every_cell_has_its_sentence_under_its_task() -> None:
    found = answers.answers(tables(study()), WORDS)
    assert [answer.heading for answer in found] == [
        *("In short", "What would decide the rest"),
        *("text", "digits", "The study as a whole"),
    ]
    assert [len(answer.sentences) for answer in found[:4]] == [3, 1, 2, 2]


@pytest.mark.parametrize(
    ("state", "said"), [(None, "4 runs missing, their seeds left out"), ("goes on", "trained with fewer seeds")]
)
def test_warmups_that_looks_dropped_are_not_told_as_missing_runs(state: str | None, said: str) -> None:
    found = tables(study())
    found["optima"] = found["optima"].with_columns(missing=polars.lit(4))
    found["plateaus"] = found["plateaus"].with_columns(state=polars.lit(state, polars.String))
    sentences = [sentence for sentence in answers.sentences(found, WORDS) if sentence.startswith("For ")]
    assert sentences and all(said in sentence for sentence in sentences)


def test_a_gap_in_the_plateau_is_not_papered_over() -> None:
    row = {"flat": False, "whole_grid": False, "not_excluded": [0.0, 0.1], "not_excluded_contiguous": False}
    assert answers._extent(row) == "the plateau has a gap: 0 and 10 %"
    row |= {"not_excluded": [0.0, 0.02], "not_excluded_contiguous": True}
    assert answers._extent(row) == "the plateau reaches from 0 % to 2 %"


def test_a_flat_curve_and_one_of_which_nothing_is_excluded_are_told_apart() -> None:
    row = {"flat": False, "whole_grid": True, "not_excluded": [0.0, 0.02, 0.1], "not_excluded_contiguous": True}
    assert answers._extent(row) == "nothing from 0 % to 10 % is excluded"
    assert answers._extent(row | {"flat": True}) == "every warmup tried, 0 % to 10 %, is as good as the best"


def test_censoring_is_said_in_words() -> None:
    table = study(regret=-0.2 * np.log(np.array(WARMUPS) + 0.005))
    text = " ".join(answers.sentences(tables(table), WORDS))
    assert "the optimum lies above 10 %, if the curve has one valley" in text


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (study(seeds=1), "one seed has no spread"),
        (study().with_columns(status=polars.lit("diverged")), "every run diverged"),
    ],
)
def test_what_cannot_be_said_is_said_with_its_reason(table: polars.DataFrame, reason: str) -> None:
    sentences = answers.sentences(tables(table), WORDS)
    cells = [sentence for sentence in sentences if sentence.startswith("For ")]
    assert len(cells) == 4
    assert all("cannot say how much warmup is needed" in cell and reason in cell for cell in cells)
    assert any(f"It cannot say how much warmup is needed: {reason}" in sentence for sentence in sentences)
    assert not any("None" in sentence or "nan" in sentence for sentence in sentences)


def test_cells_trained_at_one_warmup_share_a_sentence_and_are_not_drawn() -> None:
    whole = study()
    found = tables(whole.filter((polars.col("architecture") == "a00") | (polars.col("warmup") == 0.0)))
    text = answers.sentences(found, WORDS)
    said = [sentence for sentence in text if "Mamba" in sentence]
    assert said == [
        f"Trained at one warmup only, so that nothing can be said about how much is needed: Mamba on {task}."
        for task in ("text", "digits")
    ]
    assert effects.swept(found["plateaus"])["architecture"].unique().to_list() == ["a00"]
    unswept = found["plateaus"].filter(architecture="a01")
    assert effects.swept(unswept).equals(unswept)


def test_stale_and_diverged_runs_are_counted() -> None:
    table = study(divergence=0.5).with_columns(stale=polars.col("seed") == 0)
    sentences = answers.sentences(tables(table), WORDS)
    diverged = table.filter(status="diverged").height
    assert any(f"{diverged} runs diverged and count as such" in sentence for sentence in sentences)
    assert sentences[0] == "Warning: 16 runs would come out otherwise with the present code or settings."


def test_the_text_is_valid_restructured_text() -> None:
    found = tables(study(divergence=0.3))
    text = (
        answers.restructured_text(answers.answers(found, WORDS))
        + "\n"
        + methods.restructured_text(found, WORDS, statistics())
    )
    options = {"halt_level": 2, "report_level": 2}
    html = docutils.core.publish_string(text, writer="html5", settings_overrides=options).decode()
    assert html.count("<li>") >= 4 and "In short" in html


def test_no_warmup_is_not_judged_where_it_was_not_run() -> None:
    found = tables(study().filter(polars.col("warmup") > 0))
    assert "Training without warmup was not tried" in " ".join(answers.sentences(found, WORDS))


def test_cells_that_need_more_seeds_are_counted_apart_from_those_that_do_not() -> None:
    power_rows = polars.DataFrame(
        {"when": ["after"] * 3, "verdict": ["ok"] * 3, "family": ["f"] * 3, "power": [0.8] * 3, "margin": [0.1] * 3}
        | {"detectable_gap": [0.05, 0.2, 0.3], "seeds_for_two_margins": [3, None, None]}
    )
    (sentence,) = answers._power({"power": power_rows})
    assert "in 1 of 3 cells; for a regret of two margins" in sentence
    assert sentence.endswith("2 cells would need more than 200.")


def test_an_optimum_beyond_the_grid_has_no_upper_end() -> None:
    row = {
        "optimum_low": 0.02,
        "optimum_high": 1.0,
        "interval_reaches_smallest": False,
        "interval_reaches_largest": True,
    }
    curved = {"flat": False, "whole_grid": True, "not_excluded": [0.0, 0.02, 0.1, 0.3]}
    assert "lies above 2 %" in answers._valley(curved, row)[0]
    row |= {"optimum_high": 0.1, "interval_reaches_largest": False}
    assert "lies between 2 % and 10 %" in answers._valley(curved, row)[0]
    assert answers._valley({"flat": True}, row) == []
    assert answers._valley(curved, row | {"optimum_low": 0.0, "optimum_high": 0.3}) == []
    row |= {"interval_reaches_smallest": True, "interval_reaches_largest": True}
    assert answers._valley(curved, row) == []


def test_methods_name_what_was_done_and_nothing_else() -> None:
    found = tables(study())
    settings = statistics(margins={"default": {"relative": 0.02}, "t1": {"absolute": 0.1}})
    text = methods.restructured_text(found, WORDS, settings)
    assert "We trained GPT-2, Mamba on text, digits" in text and "0, 2, 10, 30 % of 1,000 steps" in text
    assert "10 seeds each (160 runs, scale laptop)" in text
    assert "default: 2 % of the best mean; t1: 0.1" in text and "their shape shrunk over the cells of a task" in text
    assert "12 comparisons per study" in text
    assert "with the recipe adamw and linear" in text and "log(outcome) was modelled" in text
    unfitted = found | {"mixed_model": found["mixed_model"].with_columns(verdict=polars.lit("cannot say"))}
    assert "log(outcome) was modelled" not in methods.restructured_text(unfitted, WORDS, settings)
    alone = methods.restructured_text(tables(study(architectures=1, regret=0.0)), WORDS, settings)
    assert "each cell's own, paired by seed" in alone and "shrunk" not in alone
