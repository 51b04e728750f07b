"""A study answers its own question first: recipes, plateau heights, relatives; what was not asked is left out."""

import math
from typing import Any

import docutils.core
import polars

from warmup.statistics.words import answers, questions

LABELS = {"gpt2": "GPT-2", "wide": "Wide GPT-2", "text": "Text", "adamw": "AdamW", "cap": "AdamW^2", "radam": "RAdam"}
WORDS: dict[str, Any] = {"labels": LABELS, "question": "recipes"}


def arm(recipe: str, warmup: float, mean: float, verdict: str, difference: float | None = None) -> dict[str, Any]:
    limits = {"low": None, "high": None} if difference is None else {"low": difference - 0.1, "high": difference + 0.1}
    place = {"architecture": "gpt2", "task": "text", "family": "at its best warmup", "n": 3, "note": ""}
    return (
        place
        | {"recipe": recipe, "warmup": warmup, "mean": mean, "verdict": verdict, "difference": difference}
        | limits
    )


def recipe_arms(verdict: str = "inconclusive") -> polars.DataFrame:
    return polars.DataFrame(
        [
            arm("adamw", 0.0, 3.1, "worse", 0.4),
            arm("adamw", 0.1, 2.7, "reference"),
            arm("radam", 0.0, 2.9, "inconclusive", 0.2),
            arm("cap", 0.0, 2.6, verdict, -0.1),
        ],
        infer_schema_length=None,
    )


def test_the_recipe_that_does_best_without_warmup_is_held_against_the_first_at_its_best() -> None:
    reply = questions.recipes({"recipe_arms": recipe_arms()}, WORDS)
    assert reply.sentences == [
        "For GPT-2 on Text, AdamW reaches 2.7 at 10 % warmup and 3.1 without; without warmup AdamW^2 is lowest of "
        "2 other recipes: 2.6 (-0.1 (-0.2 to +0) from it). At n = 3 no difference is shown, nor its absence: "
        "whether one replaces warmup stays open."
    ]
    assert [row[1] for row in reply.rows] == ["AdamW^2", "RAdam"]
    decided = questions.recipes({"recipe_arms": recipe_arms("better")}, WORDS).sentences[0]
    assert decided.endswith("1 of them do better and 0 worse than the first at its best warmup.")


def test_plateau_heights_that_end_lower_are_named() -> None:
    place = {"architecture": "gpt2", "task": "text", "decay": "1-sqrt over 0.2", "n": 3}
    pairs = polars.DataFrame(
        [
            place | {"cooler": 0.5, "hotter": 1.0, "verdict": "hotter lower"},
            place | {"cooler": 1.0, "hotter": 2.0, "verdict": "no difference shown"},
        ]
    )
    reply = questions.plateau_heights({"plateau_height_differences": pairs}, WORDS)
    assert reply.sentences[0].startswith(
        "Of 2 pairs of plateau heights the hotter one ends lower after the same decay in 1"
    )
    assert "a plateau of 1 times the peak ends lower than one of 0.5" in reply.sentences[1]
    assert reply.rows == [("GPT-2 on Text (decay 1-sqrt over 0.2)", "2", "1", "0", "3")]


def test_relatives_that_share_no_warmup_are_named() -> None:
    cell = {"task": "text", "recipe": "adamw", "verdict": "ok", "whole_grid": False}
    plateaus = polars.DataFrame(
        [
            cell | {"architecture": "gpt2", "not_excluded": [0.0, 0.02]},
            cell | {"architecture": "wide", "not_excluded": [0.1]},
        ]
    )
    runs = polars.DataFrame({"architecture": ["gpt2", "wide"], "lineage": ["gpt2", "gpt2"]})
    reply = questions.families({"plateaus": plateaus, "runs": runs}, WORDS)
    assert reply.sentences[0].startswith(
        "Of 1 pair of relatives on the same task, 1 are shown to need different warmups"
    )
    assert (
        reply.sentences[1] == "On Text, GPT-2 (0 and 2 %) and Wide GPT-2 (10 %) share no warmup that is not excluded."
    )
    alone = questions.families({"plateaus": plateaus.head(1), "runs": runs}, WORDS)
    assert alone.sentences == ["No two relatives have an answer on the same task."] and alone.rows == []


def start_difference(quantity: str, authors: float, library: float, half: float | None) -> dict[str, Any]:
    size = authors - library
    limits = {"difference_low": None if half is None else size - half}
    limits |= {"difference_high": None if half is None else size + half}
    place = {"architecture": "gpt2", "twin": "gpt2_library", "task": "text", "recipe": "adamw", "n": 3}
    note = "cannot say: one seed" if half is None else ""
    return (
        place
        | {"quantity": quantity, "authors": authors, "library": library, "difference": size}
        | limits
        | {"note": note}
    )


def test_the_differences_between_two_starts_are_said_with_size_and_interval_and_no_verdict() -> None:
    table = polars.DataFrame(
        [
            start_difference("optimum", 0.1, 0.02, 0.1),
            start_difference("regret", 0.05, 0.25, 0.1),
            start_difference("log_spike_ratio", math.log(8), math.log(2), math.log(2)),
        ]
    )
    reply = questions.initialisation({"start_differences": table}, WORDS | {"confidence": 0.95})
    assert reply.rows == [
        (
            "GPT-2 on Text",
            "10 % against 2 %, +8 points (-2 to +18)",
            "0.05 against 0.25, -0.2 (-0.3 to -0.1)",
            "8 against 2, 4 times (2 to 8)",
        )
    ]
    said = " ".join(reply.sentences)
    assert (
        "leaves out zero for the best warmup in 0, for the regret of no warmup in 1 and for the spike ratio without "
        "warmup in 1 of them (95 % confidence, n = 3 seeds)" in said
    )
    assert "The regret of no warmup is higher from the authors' start in 0 and lower in 1 of 1 cell" in said
    assert "no verdict is drawn" in said


def test_starts_that_one_seed_cannot_tell_apart_are_not_compared_in_words() -> None:
    table = polars.DataFrame([start_difference(name, 0.1, 0.1, None) for name in questions.QUANTITIES])
    reply = questions.initialisation({"start_differences": table}, WORDS | {"confidence": 0.95})
    assert all("one seed" in text for text in reply.rows[0][1:])
    assert all("the same from both starts" in sentence for sentence in reply.sentences[1:])
    empty = questions.initialisation({"start_differences": table.clear()}, WORDS)
    assert empty.rows == [] and "No architecture was trained from both" in empty.sentences[0]


def test_a_study_of_warmups_has_no_other_question() -> None:
    assert questions.reply({}, {"question": "warmup"}) is None


def test_the_table_of_an_answer_is_valid_restructured_text() -> None:
    reply = questions.recipes({"recipe_arms": recipe_arms()}, WORDS)
    text = answers.restructured_text([answers.Answer("In short", reply.sentences, reply.header, reply.rows)])
    html = docutils.core.publish_string(text, writer="html5", settings_overrides={"halt_level": 2}).decode()
    assert html.count("<tr>") == 3 and "RAdam" in html
