"""The answer in sentences, computed from the tables: what a report opens with.

In: the tables runs, answer, optima, plateaus, validation_errors, crossfit, comparisons, power, mixed_model, and `words`
(labels, outcome, scale, confidence). Out: plain sentences, the same as reStructuredText, and what of it a terminal
shows. A missing number is said in words, with its reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars

from warmup.files import replace_atomically
from warmup.statistics.base.intervals import CANNOT_SAY
from warmup.statistics.base.outcomes import CELL
from warmup.statistics.base.pairing import FEW_SEEDS, ONE_WARMUP
from warmup.statistics.words import needed, needed_shown, questions
from warmup.statistics.words.questions import Tables
from warmup.statistics.words.sentence_parts import (
    Row,
    Words,
    counts,
    label,
    listed,
    number,
    percent,
    place,
    rates,
    reason,
)

OUTCOMES = {
    "best_validation_loss": "best validation loss",
    "final_validation_loss": "final validation loss",
    "final_training_loss": "final training loss",
}


JUDGED = ("comparisons", "mixed_model")
"""Tables of the study as a whole whose rows may say nothing."""


@dataclass(frozen=True)
class Answer:
    """A heading with its sentences, a table of text under its header above them, HTML below (none: empty)."""

    heading: str
    sentences: list[str]
    header: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()
    html: str = ""


def sentences(tables: Tables, words: Words) -> list[str]:
    """All sentences in reading order, without headings."""
    return [sentence for answer in answers(tables, words) for sentence in answer.sentences]


def answers(tables: Tables, words: Words) -> list[Answer]:
    """The answer to the study's own question, then cell by cell under each task, then the study as a whole.

    Where the study asks for something else than the warmup, cells that were trained at one warmup and statements that
    cannot be made of such a study are left out.
    """
    own = questions.reply(tables, words)
    cells = {task: _rows(tables["plateaus"], task=task) for task in dict.fromkeys(tables["plateaus"]["task"])}
    if own:
        short = [*outdated(tables["runs"]), opening(tables, words), *own.sentences]
        first = [Answer("In short", short, own.header, own.rows)]
        cells = {task: [row for row in rows if ONE_WARMUP not in (row["note"] or "")] for task, rows in cells.items()}
    else:
        first = how_much(tables, words)
    said = _sayable(tables) if own else tables
    about = [] if own else [opening(tables, words), overall(tables, words)]
    whole = [*about, *_spent(tables, words), *_advantage(said), *_comparisons(said), *_model(said), *_power(said)]
    whole += _validation(tables)
    return [
        *first,
        *(Answer(label(task, words), _cells(rows, tables, words)) for task, rows in cells.items() if rows),
        *([Answer("The study as a whole", whole)] if whole else []),
    ]


def how_much(tables: Tables, words: Words) -> list[Answer]:
    """The answer of a study of warmups (`needed`): sentences with the table architecture x task, then what is left."""
    table = tables["answer"]
    if table.is_empty():
        return [Answer("In short", ["No warmup was varied in this study."])]
    said, rows = needed.rest(table, words)
    explained = f"<p>{needed.explained(table, words)}</p>"
    html = needed_shown.html(table, words) + needed_shown.LEGEND + explained
    return [
        Answer("In short", [*outdated(tables["runs"]), *needed.sentences(table)], html=html),
        Answer("What would decide the rest", said, needed.REST if rows else (), rows),
    ]


def text(tables: Tables, words: Words) -> str:
    """The answer to the study's own question, for a terminal of 100 columns."""
    own = questions.reply(tables, words)
    warning = outdated(tables["runs"])
    if not own:
        return "\n\n".join([*warning, needed_shown.text(tables["answer"], words)])
    paragraphs = map(needed_shown.filled, [*warning, opening(tables, words), *own.sentences])
    table = [needed_shown.aligned(own.header, own.rows)] if own.rows else []
    return "\n\n".join([*paragraphs, *table]) + "\n"


def _sayable(tables: Tables) -> Tables:
    """The tables of comparisons and of the mixed model without the rows that cannot say."""
    return {**tables, **{name: tables[name].filter(polars.col("verdict") != CANNOT_SAY) for name in JUDGED}}


def restructured_text(found: Sequence[Answer]) -> str:
    """The answers as reStructuredText: a heading each, its table and HTML, a paragraph (in short) or a list."""
    parts = []
    for index, answer in enumerate(found):
        lines = answer.sentences if index == 0 else [f"- {sentence}" for sentence in answer.sentences]
        body = ("\n\n" if index == 0 else "\n").join(lines)
        parts.append("\n".join([answer.heading, "-" * len(answer.heading), "", *_table(answer), body, *_raw(answer)]))
    return "\n\n".join(parts) + "\n"


def _table(answer: Answer) -> list[str]:
    """A list-table directive of the answer's rows."""
    if not answer.rows:
        return []
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (answer.header, *answer.rows):
        lines += [f"   {'* -' if index == 0 else '  -'} {cell or chr(92)}" for index, cell in enumerate(row)]
    return [*lines, ""]


def _raw(answer: Answer) -> list[str]:
    """A directive that takes the answer's HTML over as it is."""
    return ["", ".. raw:: html", "", f"   {answer.html}"] if answer.html else []


def write(content: str, path: str | Path) -> None:
    """Write a text whole or not at all."""
    replace_atomically(path, lambda temporary: temporary.write_text(content, encoding="utf-8"))


def opening(tables: Tables, words: Words) -> str:
    """What was run: scale, runs, seeds, warmups, outcome, divergences."""
    runs = tables["runs"]
    warmups = listed(runs["warmup"].unique().sort().to_list())
    seeds = counts(tables["plateaus"]["n"].to_list())
    diverged = int((runs["status"] == "diverged").sum())
    failed = "no run diverged" if diverged == 0 else f"{number(diverged, 'run')} diverged and count as such"
    return (
        f"On the scale {words['scale']}, {number(runs.height, 'run')} of "
        f"{number(runs['architecture'].n_unique(), 'architecture')} "
        f"on {number(runs['task'].n_unique(), 'task')} were judged by their {OUTCOMES[words['outcome']]} at warmups "
        "of "
        f"{warmups} of training, {_peak_rates(runs)}, n = {seeds} seeds per warmup; {failed}."
    )


def outdated(runs: polars.DataFrame) -> list[str]:
    """A warning where runs were made by other code or settings than the present ones."""
    stale = int(runs["stale"].sum())
    if not stale:
        return []
    return [f"Warning: {number(stale, 'run')} would come out otherwise with the present code or settings."]


def _peak_rates(runs: polars.DataFrame) -> str:
    """What the answer is bound to: one untuned peak rate, or several."""
    shown = rates(runs["peak_learning_rate"].to_list())
    if runs["recipe"].n_unique() > 1 and runs["peak_learning_rate"].n_unique() > 1:
        return f"at peak learning rates of {shown}"
    return f"each cell at one peak learning rate ({shown}), the same for all warmups"


def overall(tables: Tables, words: Words) -> str:
    """How much the study narrows the warmup down."""
    known = tables["plateaus"].filter(verdict="ok")
    if known.is_empty():
        reasons = ", ".join(dict.fromkeys(reason(note) for note in tables["plateaus"]["note"]))
        return f"It cannot say how much warmup is needed: {reasons}."
    total = known.height
    whole, demonstrated = int(known["whole_grid"].sum()), int(known["demonstrated_low"].is_not_null().sum())
    return (
        f"{_without_warmup(known, tables, words)}; in {whole} of {number(total, 'cell')} nothing tried is excluded, "
        "so that any of these warmups may be as good as the best within the practical margin; in "
        f"{demonstrated} at least one warmup is demonstrated to be."
    )


def _without_warmup(known: polars.DataFrame, tables: Tables, words: Words) -> str:
    tried = tables["runs"].filter(warmup=0.0).select(CELL).unique()
    cells = known.join(tried, on=CELL, how="semi")
    if cells.is_empty():
        return "Training without warmup was not tried"
    out = sum(0.0 not in members for members in cells["not_excluded"].to_list())
    return (
        f"Training without warmup is excluded from the plateau in {out} of {number(cells.height, 'cell')} at "
        f"{_level(words)} confidence"
    )


def _cells(plateaus: Sequence[Row], tables: Tables, words: Words) -> list[str]:
    """A sentence per cell; those that were trained at one warmup, where nothing is asked, share theirs."""
    unswept = [row for row in plateaus if ONE_WARMUP in (row["note"] or "")]
    single = [_name(row, tables, words) for row in unswept]
    found = [_cell(row, tables, words) for row in plateaus if row not in unswept]
    if single:
        found.append(
            f"Trained at one warmup only, so that nothing can be said about how much is needed: {'; '.join(single)}."
        )
    return found


def _cell(plateau: Row, tables: Tables, words: Words) -> str:
    """The plateau, the lowest mean, what is recommended and where the optimum may lie, of one cell."""
    name = _name(plateau, tables, words)
    if plateau["verdict"] == CANNOT_SAY:
        return f"For {name} the data cannot say how much warmup is needed: {reason(plateau['note'])}."
    key = {axis: plateau[axis] for axis in ("architecture", "task", "recipe")}
    best = next(iter(_rows(tables["optima"], **key)))
    shown = plateau["demonstrated"]
    proof = f"demonstrated for {listed(shown)}" if shown else f"demonstrated for none at n = {plateau['n']}"
    parts = [
        f"For {name} {_extent(plateau)} ({proof}; margin {plateau['margin']:.2g})",
        f"the lowest mean lies at {percent(best['optimum'])}",
        f"{percent(plateau['recommended'])} costs at most {plateau['recommended_high']:.2g} more than the best tried",
        *_valley(plateau, best),
        *_sampled(plateau, tables),
    ]
    if best["diverged"]:
        few = ", too few seeds to say how often such runs do" if plateau["n"] < FEW_SEEDS else ""
        parts.append(f"{number(best['diverged'], 'run')} diverged{few}")
    if best["missing"] and plateau.get("state"):
        parts.append("warmups that a look found not to be the best were trained with fewer seeds")
    elif best["missing"]:
        parts.append(f"{number(best['missing'], 'run')} missing, their seeds left out")
    return "; ".join(parts) + "."


def _extent(plateau: Row) -> str:
    members = plateau["not_excluded"]
    if plateau["flat"]:
        return f"every warmup tried, {percent(members[0])} to {percent(members[-1])}, is as good as the best"
    if plateau["whole_grid"]:
        return f"nothing from {percent(members[0])} to {percent(members[-1])} is excluded"
    if len(members) == 1:
        return f"the plateau is {percent(members[0])} alone"
    if not plateau["not_excluded_contiguous"]:
        return f"the plateau has a gap: {listed(members)}"
    return f"the plateau reaches from {percent(members[0])} to {percent(members[-1])}"


def _valley(plateau: Row, best: Row) -> list[str]:
    """Where the optimum of a curve with one valley lies, if that is narrower than the grid."""
    if plateau["flat"] or (best["interval_reaches_smallest"] and best["interval_reaches_largest"]):
        return []
    members = plateau["not_excluded"]
    if plateau["whole_grid"] and best["optimum_low"] <= members[0] and best["optimum_high"] >= members[-1]:
        return []
    low, high = (percent(best[f"optimum_{end}"]) for end in ("low", "high"))
    if best["interval_reaches_largest"]:
        return [f"the optimum lies above {low}, if the curve has one valley"]
    return [f"the optimum lies between {low} and {high}, if the curve has one valley"]


def _sampled(plateau: Row, tables: Tables) -> list[str]:
    """How far another validation set would move what is said of the cell, beside the margin."""
    key = {axis: plateau[axis] for axis in CELL}
    known = tables["validation_errors"].filter(verdict="ok", best=False, **key)
    rivals = known.filter(polars.col("warmup").is_in(plateau["not_excluded"]))
    row = max((rivals if rivals.height else known).to_dicts(), key=lambda row: row["difference_reach"], default=None)
    if row is None:
        return []
    compared = f"{'more' if row['beyond_margin'] else 'less'} than the margin"
    return [
        f"other validation examples would move these differences by up to {row['difference_reach']:.2g}, {compared}"
    ]


def _validation(tables: Tables) -> list[str]:
    """In how many cells the margin is smaller than what another validation set would move."""
    known = tables["validation_errors"].filter(verdict="ok", best=False)
    if known.is_empty():
        return []
    beyond = known.group_by(CELL).agg(polars.col("beyond_margin").any())["beyond_margin"]
    examples = counts(known["examples"].to_list())
    return [
        f"All this holds for the {examples} validation examples used: in {int(beyond.sum())} of "
        f"{number(len(beyond), 'cell')} the margin is smaller than what another validation set would move some "
        "warmup's difference from the best."
    ]


def _spent(tables: Tables, words: Words) -> list[str]:
    """What an unexpected confidence is: that of whatever is no look, where looks decided how many seeds there are."""
    promised: Any = tables["plateaus"]["confidence"].max()
    if promised is None or words["confidence"] <= promised:
        return []
    return [
        f"Verdicts hold with {100 * promised:g} % confidence over all looks together. Everything else (comparisons, "
        f"mixed model, limits in figures) is stated at {_level(words)}: what was found decided when to stop, so that "
        "whatever is no look may err no more often than one look."
    ]


def _advantage(tables: Tables) -> list[str]:
    known, withheld = tables["crossfit"].filter(verdict="ok"), tables["crossfit"].filter(verdict=CANNOT_SAY)
    if known.is_empty():
        reasons = "; ".join(dict.fromkeys(reason(note) for note in withheld["note"]))
        return [f"What choosing the warmup gained cannot be said: {reasons}."] if reasons else []
    unsaid = f"; in {number(withheld.height, 'cell')} that cannot be said" if withheld.height else ""
    gains = known.filter(polars.col("advantage_low") > 0).height
    losses = known.filter(polars.col("advantage_high") < 0).height
    flattered = known.filter(polars.col("naive_advantage") > polars.col("advantage")).height
    reference, cells = percent(known["reference"][0]), number(known.height, "cell")
    return [
        f"With the warmup chosen on half of the seeds and measured on the other half, the choice beats {reference} in "
        f"{gains} "
        f"of {cells} and is beaten in {losses}; judged on the seeds it was chosen on, it would look better than that "
        f"in {flattered}{unsaid}."
    ]


def _comparisons(tables: Tables) -> list[str]:
    found = []
    for part in tables["comparisons"].partition_by("family", maintain_order=True):
        counts = {
            verdict: part.filter(verdict=verdict).height
            for verdict in ("better", "worse", "equivalent", "inconclusive")
        }
        unsaid = part.filter(verdict=CANNOT_SAY).height
        more = f"; {unsaid} cannot be tested" if unsaid else ""
        found.append(
            f"Of the {number(part.height, 'comparison')} declared as {part['family'][0]} (Holm-corrected), warmup is "
            "better in "
            f"{counts['better']}, worse in {counts['worse']}, equivalent within the margin in {counts['equivalent']} "
            "and "
            f"{counts['inconclusive']} are inconclusive{more}."
        )
    return found


def _model(tables: Tables) -> list[str]:
    found = []
    table = tables["mixed_model"].filter(kind="test", grouping="world")
    for row in table.iter_rows(named=True):
        where = f" (recipe {row['recipe']})" if table["recipe"].n_unique() > 1 else ""
        if row["verdict"] == CANNOT_SAY:
            term = f"whether {row['term']}" if row["term"] else "about all cells together"
            found.append(f"The mixed model cannot say {term}{where}: {reason(row['note'])}.")
        else:
            found.append(f"Mixed model of all cells{where}: evidence that {row['term']}, p = {row['p']:.2g}.")
    return found


def _power(tables: Tables) -> list[str]:
    table = tables["power"].filter(when="after", verdict="ok").drop_nulls("margin")
    if table.is_empty():
        return []
    table = table.filter(family=table["family"][0])
    others = table.filter(polars.col("detectable_gap") > polars.col("margin"))
    able = table.height - others.height
    finite = others["seeds_for_two_margins"].drop_nulls()
    beyond = others.height - len(finite)
    asked = "; ".join(
        [
            *([f"{number(len(finite), 'cell')} would need up to {max(finite)} seeds"] if len(finite) else []),
            *([f"{number(beyond, 'cell')} would need more than 200"] if beyond else []),
        ]
    )
    chance = f"{100 * table['power'][0]:g} %"
    asked = f"for a regret of two margins to be shown to exceed one with that chance {asked}" if asked else ""
    asked = asked or "no more seeds are needed for that"
    return [
        f"A difference as large as the practical margin would be found with {chance} chance in {able} of "
        f"{number(table.height, 'cell')}; {asked}."
    ]


def _rows(table: polars.DataFrame, **at: Any) -> list[dict[str, Any]]:
    return table.filter(**at).to_dicts()


def _name(row: Row, tables: Tables, words: Words) -> str:
    several = tables["plateaus"]["recipe"].n_unique() > 1
    recipe = f" with {label(row['recipe'], words)}" if several else ""
    return f"{place(row, words)}{recipe}"


def _level(words: Words) -> str:
    return f"{100 * words['confidence']:g} %"
