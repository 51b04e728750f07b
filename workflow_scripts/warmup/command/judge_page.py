"""What `warmup judge` says, in sentences and as a page: in its data (see answers.schema.yaml), out text and HTML."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from warmup import html_page
from warmup.statistics.base.intervals import CANNOT_SAY

Data = Mapping[str, Any]
Columns = tuple[Sequence[str], Sequence[Sequence[str]]]
WIDTH, LEFT, ROW = 640, 150, 22
"""Of a drawing, in pixels: all of it, the names, one treatment."""


def lines(data: Data) -> Iterator[str]:
    """The judgement, line by line."""
    lost = f", {data['diverged']} of them diverged" if data["diverged"] else ""
    empty = f"; {data['without_outcome']} rows without outcome count as missing" if data["without_outcome"] else ""
    better = "larger is better" if data["larger_is_better"] else "smaller is better"
    yield f"{data['runs']} runs{lost}, judged by {data['outcome']} ({better}) at {data['confidence']:.0%}{empty}"
    for cell in data["cells"]:
        yield ""
        yield f"{cell['cell']}: {verdict(cell, data)}"
        yield from (f"  {sentence}" for sentence in sentences(cell, data))
        if cell["verdict"] != CANNOT_SAY:
            yield ""
            yield from (f"  {line}" for line in _columns(*treatments(cell, data)))
            yield ""
            yield from (f"  {line}" for line in _columns(*pairs(cell)))


def verdict(cell: Data, data: Data) -> str:
    """The verdict of a cell in one sentence."""
    name = data["treatment"]
    if cell["verdict"] == CANNOT_SAY:
        return f"cannot say: {cell['note']}"
    if cell["verdict"] == "best":
        return f"{name} {cell['possible_best'][0]} is the best"
    if cell["verdict"] == "alike":
        return f"alike: whichever {name} is taken, it costs less than the margin"
    if cell["verdict"] == "undecided":
        return "undecided: nothing is excluded, and nothing shown to be as good as the best"
    out = [one["treatment"] for one in cell["treatments"] if not one["not_excluded"]]
    parts = [f"{', '.join(out)} cost{'s' if len(out) == 1 else ''} more than the margin"] if out else []
    if cell["demonstrated"]:
        shown = cell["demonstrated"]
        parts.append(f"{', '.join(shown)} {'is' if len(shown) == 1 else 'are'} shown to cost less than the margin")
    return f"narrowed: {'; '.join(parts)}"


def sentences(cell: Data, data: Data) -> Iterator[str]:
    """What else is to be said of a cell."""
    if cell["missing"]:
        yield (
            f"{cell['missing']} runs are missing: {cell['complete_seeds']} of {cell['seeds']} seeds have every "
            f"{data['treatment']}, and these alone are compared"
        )
    if cell["verdict"] == CANNOT_SAY:
        return
    yield f"{cell['complete_seeds']} seeds, {cell['method']}, margin {cell['margin']:.3g}"
    yield f"take {cell['recommended']}: it costs at most {cell['recommended_costs_at_most']:.3g} over the best"
    if cell["optimum_between"]:
        low, high = cell["optimum_between"]
        yield f"the best lies between {low:.3g} and {high:.3g}, if the curve has one valley"
    if cell["detectable_difference"] is not None:
        yield f"a difference of {cell['detectable_difference']:.3g} would be found with {cell['power']:.0%} chance"
        yield _needed(cell)


def _needed(cell: Data) -> str:
    at = [cell[f"seeds_for_two_margins{end}"] for end in ("", "_low", "_high")]
    told = ["more than 200" if one is None else str(one) for one in at]
    return (
        f"to show that {cell['reference']} costs more than the margin if it costs twice that: {told[0]} seeds "
        f"({told[1]} to {told[2]}, as far as the spread is known)"
    )


def treatments(cell: Data, data: Data) -> Columns:
    """Header and rows: each treatment with its mean and the limits of its regret."""
    rows = [
        (
            *(one["treatment"], str(one["runs"]), f"{one['mean']:.5g}", f"{one['regret']:.3g}"),
            f"{one['regret_low']:.3g} to {one['regret_high']:.3g}",
            "yes" if one["possible_best"] else "no",
            "excluded" if not one["not_excluded"] else "shown" if one["demonstrated"] else "undecided",
        )
        for one in cell["treatments"]
    ]
    head = (data["treatment"], "runs", f"mean {data['outcome']}", "regret", "limits", "may be best", "within margin")
    return head, rows


def pairs(cell: Data) -> Columns:
    """Header and rows: each pair of treatments with its difference."""
    rows = [
        (
            f"{one['treatment']} less {one['other']}",
            f"{one['difference']:+.3g}",
            f"{one['low']:+.3g} to {one['high']:+.3g}",
            one["verdict"],
        )
        for one in cell["pairs"]
    ]
    return ("pair", "difference", "limits, all pairs together", "verdict"), rows


def page(data: Data) -> str:
    """The judgement as an HTML page, with a drawing of the regrets of each cell."""
    found = list(lines({**data, "cells": []}))
    parts = [f"<p>{escape(found[0])}</p>"]
    for cell in data["cells"]:
        parts.append(f"<h2>{escape(cell['cell'])}</h2><p><b>{escape(verdict(cell, data))}</b></p>")
        parts += [f"<p>{escape(sentence)}</p>" for sentence in sentences(cell, data)]
        if cell["verdict"] != CANNOT_SAY:
            parts += [drawing(cell), _table(*treatments(cell, data)), _table(*pairs(cell))]
    return html_page.page(f"{data['outcome']} by {data['treatment']}", "\n".join(parts))


def drawing(cell: Data) -> str:
    """SVG: for each treatment the limits of its regret, a dot at the regret found, the margin as a line."""
    rows = cell["treatments"]
    most = max(*(one["regret_high"] for one in rows), cell["margin"]) or 1.0
    height = ROW * (len(rows) + 1)

    def at(value: float) -> float:
        return LEFT + (WIDTH - LEFT - 10) * value / most

    parts = [
        f'<line x1="{at(cell["margin"]):.1f}" x2="{at(cell["margin"]):.1f}" y1="0" y2="{height - ROW}" stroke="#c33" '
        'stroke-dasharray="4 3"/>',
        f'<text x="{at(cell["margin"]) + 4:.1f}" y="{height - 6}" fill="#c33" font-size="12">margin</text>',
        f'<text x="{LEFT}" y="{height - 6}" font-size="12">regret 0</text>',
    ]
    for place, one in enumerate(rows):
        y = ROW * (place + 0.5)
        parts += [
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" font-size="13">{escape(one["treatment"])}</text>',
            f'<line x1="{at(one["regret_low"]):.1f}" x2="{at(one["regret_high"]):.1f}" y1="{y}" y2="{y}" '
            'stroke="#356" stroke-width="3"/>',
            f'<circle cx="{at(one["regret"]):.1f}" cy="{y}" r="4" fill="#134"/>',
        ]
    label = f"limits of the regret of each treatment of {cell['cell']}"
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img" aria-label="{escape(label)}" '
        f'style="max-width:100%">{"".join(parts)}</svg>'
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[place]) for row in (header, *rows)) for place in range(len(header))]
    for row in (header, *rows):
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
