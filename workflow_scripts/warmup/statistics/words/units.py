"""The answer of a study of units of warmup: what a warmup keeps when horizon, batch or beta2 change.

In: the tables `unit_answers` and `unit_regrets`, and words (labels). Out: sentences and a table of text.
"""

from collections.abc import Mapping

import polars

from warmup.statistics.words.sentence_parts import Row, Words, number, place, reason

Line = tuple[str, ...]

UNIT_NAMES = {
    "share": "its share of training",
    "steps": "steps",
    "examples": "examples",
    "time_constants": "steps over the second moment's memory 1 / (1 - beta2)",
    "examples_over_memory": "examples over that memory",
    "two_time_constants": "the untuned rule, 2 / (1 - beta2) steps",
}
"""What the report calls the units of warmup, and the rule that is judged beside them."""


def unit(tables: Mapping[str, polars.DataFrame], words: Words) -> tuple[list[str], tuple[str, ...], list[Line]]:
    """In which unit is the need of warmup the same, and what does another cost? Sentences, header, rows."""
    answers, regrets = tables["unit_answers"], tables["unit_regrets"]
    known, unknown = answers.filter(polars.col("n") > 0), answers.filter(n=0)
    header = ("", "counted in", "costs, in margins (limits)", "corners", "verdict")
    said = "; ".join(f"{place(row, words)} ({reason(row['note'])})" for row in unknown.iter_rows(named=True))
    if known.is_empty():
        return [f"In what warmup is to be counted cannot be said: {said}."], header, []
    sentences: list[str] = []
    rows: list[Line] = []
    for answer in known.iter_rows(named=True):
        where = _scope(answer, words)
        found = regrets.filter(architecture=answer["architecture"], task=answer["task"]).drop_nulls("regret")
        sentences.append(_unit_sentence(answer, found, where))
        rows += [
            (
                where,
                UNIT_NAMES[row["unit"]],
                f"{row['regret']:.2g} ({row['regret_low']:.2g} to {row['regret_high']:.2g})",
                str(row["n"]),
                {True: "costs more than another", False: "not excluded", None: "a rule, not fitted"}[row["excluded"]],
            )
            for row in found.iter_rows(named=True)
        ]
    explained = (
        "A unit costs what the warmup costs that the other corners' curves choose for a corner left out, above that "
        "corner's lowest mean loss; an outcome counts at most five margins above it."
    )
    ordered = sorted(sentences, key=lambda sentence: not sentence.startswith("Over all"))
    return [*ordered, explained, *([f"Left out: {said}."] if said else [])], header, rows


def _scope(row: Row, words: Words) -> str:
    return "Over all" if row["architecture"] == "all" else place(row, words)


def _unit_sentence(answer: Row, found: polars.DataFrame, where: str) -> str:
    """What is shown of the units in one scope, and what is at stake."""
    start = where if where == "Over all" else f"For {where}"
    corners, stake = number(answer["n"], "corner"), f"{answer['at_stake_high']:.2g} margins"
    if answer["unit"] is not None:
        cost = found.filter(unit=answer["unit"]).row(0, named=True)["regret"]
        return (
            f"{start}, the need of warmup is the same in {UNIT_NAMES[answer['unit']]}: counted so it costs less than "
            f"in every other unit tried ({cost:.2g} margins, {corners})."
        )
    excluded = [UNIT_NAMES[name] for name in answer["excluded"]]
    shown = f"shown to cost more than another are {'; '.join(excluded)}" if excluded else "none is shown to cost more"
    return (
        f"{start}, it cannot be said in which unit the need of warmup is the same ({corners}): {shown}; one unit "
        f"costs at most {stake} more than another."
    )
