"""The answer of a study of branches: whether going on from another run takes another warmup.

In: the table `rewarming`, and words (labels). Out: sentences and a table of text.
"""

from collections.abc import Iterator, Mapping

import polars

from warmup.statistics.base.intervals import CANNOT_SAY
from warmup.statistics.words.sentence_parts import Row, Words, counts, label, number, percent, place, reason

Line = tuple[str, ...]

STATES = {
    "kept": "the optimiser's state kept",
    "reset": "the optimiser's state lost",
    "moments_reset": "its moments lost and its count of updates kept",
}
"""What a branch took over, as a sentence says it."""

CONTRASTS = {
    "rewarm": "rewarmed ({warmup}), less not",
    "loss": "not rewarmed, less with all kept",
    "recovered": "rewarmed ({warmup}), less all kept and not rewarmed",
}
"""What a row of the table of contrasts compares."""


def rewarming(tables: Mapping[str, polars.DataFrame], words: Words) -> tuple[list[str], Line, list[Line]]:
    """Does rewarming help, by what was kept and on which data; what does the loss cost? Sentences, header, rows."""
    table = tables["rewarming"]
    header = ("", "optimiser", "difference (below 0: lower loss)", "with limits", "seeds", "verdict")
    if table.is_empty():
        return ["No recipe of this study continues another run with and without another warmup."], header, []
    rows: list[Line] = [
        (
            _where(row, words),
            STATES[row["optimizer"]],
            CONTRASTS[row["kind"]].format(warmup=percent(row["warmup"])),
            _limits(row) if row["low"] is not None else f"{CANNOT_SAY}: {reason(row['note'])}",
            str(row["n"]),
            row["verdict"],
        )
        for row in table.iter_rows(named=True)
    ]
    return [_opening(table), *_by_state(table, words), *_of_loss(table, words)], header, rows


def _opening(table: polars.DataFrame) -> str:
    found = table.filter(kind="rewarm")
    if found.is_empty():
        return "No branch of this study was trained both with and without another warmup."
    seeds = counts(found["n"].to_list())
    return (
        f"Going on from another run at the peak rate, another warmup {_tally(found, ('helps', 'harms'))} "
        f"({number(found.height, 'contrast')}, n = {seeds} seeds)."
    )


def _tally(found: polars.DataFrame, both: tuple[str, str]) -> str:
    """ "helps in 1, harms in 0, makes a difference below the margin in 2, and in 3 it cannot be said"."""
    first, second = (f"{verdict} in {found.filter(verdict=verdict).height}" for verdict in both)
    little, open_ = (found.filter(verdict=verdict).height for verdict in ("no matter", CANNOT_SAY))
    return f"{first}, {second}, makes a difference below the margin in {little}, and in {open_} it cannot be said"


def _by_state(table: polars.DataFrame, words: Words) -> Iterator[str]:
    """A sentence for what was kept and the kind of data: all contrasts of it, with limits."""
    rewarmed = table.filter(kind="rewarm")
    for shifted, data in ((False, "the same data"), (True, "shifted data")):
        for state, said in STATES.items():
            part = rewarmed.filter(shifted=shifted, optimizer=state)
            if not part.is_empty():
                cells = "; ".join(_cell(row, words) for row in part.iter_rows(named=True))
                yield f"On {data}, with {said}, does another warmup help? {cells}."


def _of_loss(table: polars.DataFrame, words: Words) -> Iterator[str]:
    """What losing state costs without another warmup (table: loss), and whether one makes up for it."""
    for state, said in STATES.items():
        lost = table.filter(kind="loss", optimizer=state)
        if lost.is_empty():
            continue
        again = table.filter(kind="recovered", optimizer=state)
        cells = "; ".join(_cell(row, words) for row in lost.iter_rows(named=True))
        made, not_made = (again.filter(verdict=verdict).height for verdict in ("made up for", "not made up for"))
        rest = f", and in {again.height - made - not_made} it cannot be said"
        recovered = f" Another warmup makes up for it in {made} and does not in {not_made} of {again.height}{rest}."
        yield f"What does it cost to go on with {said}? {cells}.{recovered if again.height else ''}"


def _cell(row: Row, words: Words) -> str:
    """ "GPT-2 on text: helps (-0.01, -0.02 to -0.005)"."""
    limits = f" ({_limits(row)})" if row["low"] is not None else f" ({reason(row['note'])})"
    verdict = {"no matter": "below the margin"}.get(row["verdict"], row["verdict"])
    return f"{place(row, words)}: {verdict}{limits}"


def _where(row: Row, words: Words) -> str:
    """The place, and what the trunk was trained on where that is something else."""
    return f"{place(row, words)}{', from ' + label(row['trunk_task'], words) if row['shifted'] else ''}"


def _limits(row: Row) -> str:
    return f"{row['difference']:+.2g} ({row['low']:+.2g} to {row['high']:+.2g})"
