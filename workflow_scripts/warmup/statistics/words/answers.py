"""The answer in sentences, computed from the tables: what a report opens with.

In: the tables runs, optima, plateaus, crossfit, comparisons, power, mixed_model, and `words` (labels, outcome, scale,
confidence). Out: plain sentences, and the same as reStructuredText. A missing number is said in words, with its reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars

from warmup.files import replace_atomically
from warmup.statistics.base.intervals import CANNOT_SAY
from warmup.statistics.base.outcomes import CELL
from warmup.statistics.base.pairing import ONE_WARMUP

Tables = Mapping[str, polars.DataFrame]
Words = Mapping[str, Any]
Row = Mapping[str, Any]

OUTCOMES = {
    "best_validation_loss": "best validation loss",
    "final_validation_loss": "final validation loss",
    "final_training_loss": "final training loss",
}


@dataclass(frozen=True)
class Answer:
    """A heading with its sentences."""

    heading: str
    sentences: list[str]


def sentences(tables: Tables, words: Words) -> list[str]:
    """All sentences in reading order, without headings."""
    return [sentence for answer in answers(tables, words) for sentence in answer.sentences]


def answers(tables: Tables, words: Words) -> list[Answer]:
    """The answer: in short, then cell by cell under each task, then what the study as a whole can and cannot say."""
    tasks = list(dict.fromkeys(tables["plateaus"]["task"]))
    return [
        Answer("In short", [opening(tables, words), overall(tables, words)]),
        *(Answer(_label(task, words), _cells(_rows(tables["plateaus"], task=task), tables, words)) for task in tasks),
        Answer("The study as a whole", [*_advantage(tables), *_comparisons(tables), *_model(tables), *_power(tables)]),
    ]


def restructured_text(found: Sequence[Answer]) -> str:
    """The answers as reStructuredText: a heading each, then a paragraph (in short) or a list."""
    parts = []
    for index, answer in enumerate(found):
        lines = answer.sentences if index == 0 else [f"- {sentence}" for sentence in answer.sentences]
        parts.append(
            f"{answer.heading}\n{'-' * len(answer.heading)}\n\n" + ("\n\n" if index == 0 else "\n").join(lines)
        )
    return "\n\n".join(parts) + "\n"


def write(text: str, path: str | Path) -> None:
    """Write a text whole or not at all."""
    replace_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def opening(tables: Tables, words: Words) -> str:
    """What was run: scale, runs, seeds, warmups, outcome, divergences."""
    runs = tables["runs"]
    warmups = _set(runs["warmup"].unique().sort().to_list())
    seeds = _counts(tables["plateaus"]["n"].to_list())
    diverged = int((runs["status"] == "diverged").sum())
    failed = "no run diverged" if diverged == 0 else f"{_number(diverged, 'run')} diverged and count as such"
    stale = int(runs["stale"].sum())
    warning = (
        f" Of these, {_number(stale, 'run')} would come out otherwise with the present code or settings."
        if stale
        else ""
    )
    return (
        f"On the scale {words['scale']}, {_number(runs.height, 'run')} of "
        f"{_number(runs['architecture'].n_unique(), 'architecture')} "
        f"on {_number(runs['task'].n_unique(), 'task')} were judged by their {OUTCOMES[words['outcome']]} at warmups "
        "of "
        f"{warmups} of training, n = {seeds} seeds per warmup; {failed}.{warning}"
    )


def overall(tables: Tables, words: Words) -> str:
    """How much the study narrows the warmup down."""
    known = tables["plateaus"].filter(verdict="ok")
    if known.is_empty():
        reasons = ", ".join(dict.fromkeys(_reason(note) for note in tables["plateaus"]["note"]))
        return f"It cannot say how much warmup is needed: {reasons}."
    total = known.height
    whole, demonstrated = int(known["whole_grid"].sum()), int(known["demonstrated_low"].is_not_null().sum())
    return (
        f"{_without_warmup(known, tables, words)}; in {whole} of {_number(total, 'cell')} nothing tried is excluded, "
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
        f"Training without warmup is excluded from the plateau in {out} of {_number(cells.height, 'cell')} at "
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
        return f"For {name} the data cannot say how much warmup is needed: {_reason(plateau['note'])}."
    key = {axis: plateau[axis] for axis in ("architecture", "task", "recipe")}
    best = next(iter(_rows(tables["optima"], **key)))
    shown = plateau["demonstrated"]
    proof = f"demonstrated for {_set(shown)}" if shown else f"demonstrated for none at n = {plateau['n']}"
    parts = [
        f"For {name} the plateau {_extent(plateau)} ({proof}; margin {plateau['margin']:.2g})",
        f"the lowest mean lies at {_percent(best['optimum'])}",
        f"{_percent(plateau['recommended'])} costs at most {plateau['recommended_high']:.2g} more than the best tried",
        _valley(best),
    ]
    if best["diverged"]:
        parts.append(f"{_number(best['diverged'], 'run')} diverged")
    if best["missing"]:
        parts.append(f"{_number(best['missing'], 'run')} missing, their seeds left out")
    return "; ".join(parts) + "."


def _extent(plateau: Row) -> str:
    members = plateau["not_excluded"]
    if plateau["whole_grid"]:
        return f"takes in the whole grid, {_percent(members[0])} to {_percent(members[-1])}"
    if len(members) == 1:
        return f"is {_percent(members[0])} alone"
    if not plateau["not_excluded_contiguous"]:
        return f"has a gap: {_set(members)}"
    return f"reaches from {_percent(members[0])} to {_percent(members[-1])}"


def _valley(best: Row) -> str:
    """Where the optimum of a curve with one valley lies; beyond the ends of the grid nothing was tried."""
    low, high = (_percent(best[f"optimum_{end}"]) for end in ("low", "high"))
    if best["interval_reaches_smallest"] and best["interval_reaches_largest"]:
        return "where the optimum lies cannot be told from this grid"
    if best["interval_reaches_largest"]:
        return f"the optimum lies above {low}, if the curve has one valley"
    return f"the optimum lies between {low} and {high}, if the curve has one valley"


def _advantage(tables: Tables) -> list[str]:
    known = tables["crossfit"].filter(verdict="ok")
    if known.is_empty():
        return ["What choosing the warmup gains cannot be said from these runs."]
    gains = known.filter(polars.col("advantage_low") > 0).height
    losses = known.filter(polars.col("advantage_high") < 0).height
    flattered = known.filter(polars.col("naive_advantage") > polars.col("advantage")).height
    reference, cells = _percent(known["reference"][0]), _number(known.height, "cell")
    return [
        f"With the warmup chosen on half of the seeds and measured on the other half, the choice beats {reference} in "
        f"{gains} "
        f"of {cells} and is beaten in {losses}; judged on the seeds it was chosen on, it would look better than that "
        f"in {flattered}."
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
            f"Of the {_number(part.height, 'comparison')} declared as {part['family'][0]} (Holm-corrected), warmup is "
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
            found.append(f"The mixed model cannot say {term}{where}: {_reason(row['note'])}.")
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
            *([f"{_number(len(finite), 'cell')} would need up to {max(finite)} seeds"] if len(finite) else []),
            *([f"{_number(beyond, 'cell')} would need more than 200"] if beyond else []),
        ]
    )
    asked = asked or "no more seeds are needed for that"
    return [
        f"A difference as large as the practical margin would be found with {100 * table['power'][0]:g} % chance in "
        f"{able} of "
        f"{_number(table.height, 'cell')}; {asked}."
    ]


def _rows(table: polars.DataFrame, **at: Any) -> list[dict[str, Any]]:
    return table.filter(**at).to_dicts()


def _name(row: Row, tables: Tables, words: Words) -> str:
    several = tables["plateaus"]["recipe"].n_unique() > 1
    recipe = f" with {_label(row['recipe'], words)}" if several else ""
    return f"{_label(row['architecture'], words)} on {_label(row['task'], words)}{recipe}"


def _label(name: str, words: Words) -> str:
    return str(words["labels"].get(name, name))


def _level(words: Words) -> str:
    return f"{100 * words['confidence']:g} %"


def _percent(warmup: float) -> str:
    return f"{100 * warmup:.3g} %"


def _set(warmups: Sequence[float]) -> str:
    numbers = [f"{100 * warmup:.3g}" for warmup in warmups]
    return (", ".join(numbers[:-1]) + " and " if len(numbers) > 1 else "") + f"{numbers[-1]} %"


def _counts(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _reason(note: str) -> str:
    return note.removeprefix(f"{CANNOT_SAY}: ")
