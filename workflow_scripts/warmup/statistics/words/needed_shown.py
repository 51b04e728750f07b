"""The answer of a study of warmups, laid out: for a terminal (no colour, at most 100 columns) and for a page.

In: the table ANSWER, words. Out: text; HTML, whose classes report/workflow.rst styles.
"""

import textwrap
from collections.abc import Sequence
from html import escape

import polars

from warmup.statistics.words import needed
from warmup.statistics.words.sentence_parts import Row, Words, label, number

WIDTH = 100
NARROWEST = 22
"""Columns of text that one task needs; where they are too many for a line, tables follow one another."""
GAP = "  "


def text(table: polars.DataFrame, words: Words) -> str:
    """Sentences, the table architecture x task, what its words mean, and what would decide the rest."""
    if table.is_empty():
        return "No warmup was varied in this study.\n"
    head = max(len(_row_name(row, table, words)) for row in table.iter_rows(named=True))
    tasks = list(dict.fromkeys(table["task"]))
    at_once = max(1, (WIDTH - head) // (NARROWEST + len(GAP)))
    said, rows = needed.rest(table, words)
    parts = [
        *map(filled, needed.sentences(table)),
        *(_text_table(table, tasks[first : first + at_once], head, words) for first in range(0, len(tasks), at_once)),
        *map(filled, (needed.explained(table, words), *said)),
        *([aligned(needed.REST, rows)] if rows else []),
    ]
    return "\n\n".join(parts) + "\n"


def filled(paragraph: str) -> str:
    """A paragraph in lines of at most WIDTH characters; a number stays with its per cent."""
    return textwrap.fill(paragraph.replace(" %", "\u00a0%"), WIDTH).replace("\u00a0", " ")


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of text; cells that would make it wider than WIDTH are continued below."""
    natural = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    spare = WIDTH - len(GAP) * (len(natural) - 1)
    widths = natural if sum(natural) <= spare else [min(width, spare // len(natural)) for width in natural]
    return "\n".join(line for row in (header, *rows) for line in _block([[cell] for cell in row], widths))


def _text_table(table: polars.DataFrame, tasks: Sequence[str], head: int, words: Words) -> str:
    widths = [head, *[(WIDTH - head) // len(tasks) - len(GAP)] * len(tasks)]
    rows = [[[], *([label(task, words), *_unit(task, words)] for task in tasks)]]
    for name, cells in _matrix(table, tasks, words):
        rows.append([[name], *([] if cell is None else _lines(cell) for cell in cells)])
    blocks = [_block(row, widths) for row in rows]
    used = max(len(line) for block in blocks for line in block)
    return "\n\n".join("\n".join(block) for block in [[*blocks[0], "-" * used], *blocks[1:]])


def _block(cells: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    """Lines of one row whose cells are lists of lines, each wrapped to the width of its column."""
    columns = [
        [part for line in cell for part in textwrap.wrap(line.replace(" %", "\u00a0%"), width)]
        for cell, width in zip(cells, widths, strict=True)
    ]
    found = []
    for line in range(max(1, *map(len, columns))):
        texts = [column[line] if line < len(column) else "" for column in columns]
        padded = [part.ljust(width) for part, width in zip(texts, widths, strict=True)]
        found.append(GAP.join(padded).rstrip().replace("\u00a0", " "))
    return found


def _matrix(table: polars.DataFrame, tasks: Sequence[str], words: Words) -> list[tuple[str, list[Row | None]]]:
    """(name, the row of each task or None) for each architecture and recipe."""
    found = []
    for part in table.partition_by("architecture", "recipe", maintain_order=True):
        by_task: dict[str, Row] = {row["task"]: row for row in part.iter_rows(named=True)}
        name = _row_name(part.row(0, named=True), table, words)
        found.append((name, [by_task.get(task) for task in tasks]))
    return found


def _row_name(row: Row, table: polars.DataFrame, words: Words) -> str:
    recipe = f", {label(row['recipe'], words)}" if table["recipe"].n_unique() > 1 else ""
    return label(row["architecture"], words) + recipe


def _lines(row: Row) -> list[str]:
    return [needed.verdict_in_words(row), *needed.advice_in_words(row), f"so far {_seeds(row)}"]


def _seeds(row: Row) -> str:
    return number(row["n"], "seed") + ("" if row["state"] in ("decided", "open", "goes on") else f", {row['state']}")


def _unit(task: str, words: Words) -> list[str]:
    return [words["units"][task]] if task in words["units"] else []


def html(table: polars.DataFrame, words: Words) -> str:
    """The table as HTML: on a narrow screen (by CSS) every cell becomes a line with its task's name.

    Roles are written out, since browsers drop those of a table that is not laid out as one.
    """
    tasks = list(dict.fromkeys(table["task"]))
    head = "".join(
        f'<th scope="col" role="columnheader">{escape(label(task, words))}'
        + "".join(f"<br><small>{escape(unit)}</small>" for unit in _unit(task, words))
        + "</th>"
        for task in tasks
    )
    rows = []
    for name, cells in _matrix(table, tasks, words):
        found = [
            f'<td role="cell" data-task="{escape(label(task, words))}">{"" if cell is None else _cell(cell)}</td>'
            for task, cell in zip(tasks, cells, strict=True)
        ]
        rows.append(f'<tr role="row"><th scope="row" role="rowheader">{escape(name)}</th>{"".join(found)}</tr>')
    return (
        '<table class="answer" role="table" aria-label="How much warmup each architecture needs on each task">'
        f'<thead role="rowgroup"><tr role="row"><td role="cell"></td>{head}</tr></thead>'
        f'<tbody role="rowgroup">{"".join(rows)}</tbody></table>'
    )


def _cell(row: Row) -> str:
    advice = "".join(f"<br>{escape(line)}" for line in needed.advice_in_words(row))
    kind = {needed.NEEDS: "needs", needed.ANY: "any"}.get(row["verdict"], "undecided")
    return (
        f'<strong class="{kind}">{escape(needed.verdict_in_words(row))}</strong>{advice}'
        f'<div class="warmups">{"".join(_chip(warmup, row) for warmup in row["tried"])}'
        f"<small>{escape(_seeds(row))}</small></div>"
    )


def _chip(warmup: float, row: Row) -> str:
    """One warmup tried: full if shown to do, struck through if excluded, an outline while open."""
    does, out = warmup in row["does"], warmup in row["excluded"]
    kind, said = ("does", "does") if does else ("out", "excluded") if out else ("open", "open")
    return f'<span class="chip {kind}" title="{100 * warmup:.3g} %: {said}">{100 * warmup:.3g}</span>'


LEGEND = (
    '<p class="legend">Warmups tried, in % of training: <span class="chip does">2</span> shown to be as good as the '
    'best, <span class="chip out">2</span> shown to cost more, <span class="chip open">2</span> open.</p>'
)
