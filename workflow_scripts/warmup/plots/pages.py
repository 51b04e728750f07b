"""Tables that are read rather than looked at: the claims with their verdicts, the predictions with their advice.

In: table rows. Out: one HTML page each that needs no network and no script.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import polars

from warmup import html_page

STYLE = """
.tag { display: inline-block; padding: .05rem .5rem; border-radius: .8rem; white-space: nowrap; font-weight: 600 }
.supported { background: #d9efdf; color: #12502a } .contradicted { background: #f8dcd6; color: #7d1f0d }
.inconclusive { background: #f3ecd2; color: #5c4a05 } .untestable { background: #e8e8e8; color: #444 }
.advice { font-size: 1.02rem }
"""
WIDE, LEFT, ROW = 180, 6, 9
"""Width of a drawing of intervals, its margin, and the height of a row, in pixels."""
TAGS = {"supported": "supported", "supported among the warmups tried": "supported", "contradicted": "contradicted"}
TAGS |= {"not identifiable: the curve is flat": "inconclusive", "inconclusive": "inconclusive"}


def claims(table: polars.DataFrame) -> str:
    """The claims table: statement, claimed, measured, test and verdict; a count of the verdicts on top."""
    counts = table.group_by("verdict", maintain_order=True).len().sort("len", descending=True)
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.iter_rows()) or "no claims are configured"
    body = []
    for row in table.iter_rows(named=True):
        tag = TAGS.get(row["verdict"], "untestable")
        reason = f'<div class="small">{_text(row["reason"])}</div>' if row["reason"] else ""
        body.append(
            f"<tr><td>{_text(row['source'])}</td><td>“{_text(row['statement'])}”</td><td>{_text(row['claimed'])}</td>"
            f"<td>{_measured(row)}</td><td>{_text(row['test'])}</td>"
            f'<td><span class="tag {tag}">{_text(row["verdict"])}</span>{reason}</td></tr>'
        )
    head = "".join(
        f"<th>{name}</th>" for name in ("source", "claim", "claimed", "measured here", "supported if", "verdict")
    )
    scale = table["scale"][0] if table.height else ""
    introduction = f"<p>Scale {_text(scale)}: {_text(summary)}. Rules were written before the data were seen.</p>"
    return html_page.page(
        "Claims of the papers",
        f'{introduction}<div class="wide" tabindex="0" role="region" aria-label="Claims">'
        f"<table><tr>{head}</tr>{''.join(body)}</table></div>",
        STYLE,
    )


def _measured(row: Mapping[str, Any]) -> str:
    """What measures a claim: the limits of each row as a line beside what the rule allows, the numbers folded away."""
    said = _text(row["measured"]).replace("; ", "<br>") or "–"
    drawn = _intervals(row)
    return f"{drawn}<details><summary>{row['n']} in numbers</summary>{said}</details>" if drawn else said


def _intervals(row: Mapping[str, Any]) -> str:
    """SVG of the limits of each row that has some, on one axis; shaded: what the rule allows. Empty without limits."""
    limits = zip(row["value"] or [], row["lows"] or [], row["highs"] or [], strict=True)
    rows = [one for one in limits if None not in one[1:]]
    if not rows:
        return ""
    ends = [end for end in (row["allowed_low"], row["allowed_high"]) if end is not None]
    everything = [end for one in rows for end in one[1:]] + ends
    low, high = min(everything), max(everything)
    span = (high - low) or 1.0

    def across(value: float) -> float:
        return round(LEFT + (WIDE - 2 * LEFT) * (value - low) / span, 1)

    left = 0.0 if row["allowed_low"] is None else across(row["allowed_low"])
    right = float(WIDE) if row["allowed_high"] is None else across(row["allowed_high"])
    height = ROW * len(rows)
    parts = [f'<rect x="{left}" width="{max(1.0, right - left):.1f}" height="{height}" fill="#d9efdf"/>']
    for place, (value, lower, upper) in enumerate(rows):
        y = ROW * (place + 0.5)
        parts.append(f'<path d="M{across(lower)} {y}H{across(upper)}" stroke="#444" stroke-width="1.5"/>')
        if value is not None and lower <= value <= upper:
            parts.append(f'<circle cx="{across(value)}" cy="{y}" r="2.2" fill="#222"/>')
    said = f"{len(rows)} intervals between {low:.3g} and {high:.3g}; shaded: {row['test']}"
    return (
        f'<svg role="img" aria-label="{_text(said)}" width="{WIDE}" height="{height}">{"".join(parts)}</svg>'
        f'<div class="small">{low:.3g} to {high:.3g}</div>'
    )


def predictions(rows: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> str:
    """Every prediction with its advice, record, score (where swept), and what the other diagnostics would have said."""
    parts = [_prediction(row, labels) for row in rows]
    nothing = "<p>No architecture has the role <code>predict</code> or <code>validate</code>.</p>"
    return html_page.page("Predicted warmup", "".join(parts) or nothing, STYLE)


def _prediction(row: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    name, task, recipe = (labels.get(row[axis], row[axis]) for axis in ("architecture", "task", "recipe"))
    advice = row["advice"].replace(f"{row['architecture']} on {row['task']}", f"{name} on {task}")
    parts = [f"<h2>{_text(name)}, {_text(task)}, {_text(recipe)}</h2>", f'<p class="advice">{_text(advice)}</p>']
    if row.get("note"):
        parts.append(f'<p class="small">{_text(row["note"])}</p>')
    if "validation" in row:
        parts.append(_validation(row["validation"]))
    if row.get("alternatives"):
        lines = "".join(
            f"<tr><td>{_text(_name(other))}</td><td class=number>{_number(other['value'])}</td>"
            f"<td class=number>{100 * other['predicted']:.2g} %</td>"
            f"<td class=number>{other['predicted_steps']}</td></tr>"
            for other in row["alternatives"]
        )
        head = "<tr><th>read off</th><th>value</th><th>warmup</th><th>steps</th></tr>"
        parts.append(
            f"<details><summary>What each diagnostic would have said</summary><table>{head}{lines}</table></details>"
        )
    return "".join(parts)


def _validation(found: Mapping[str, Any]) -> str:
    if found.get("optimum") is None:
        return f"<p>Swept as well, but: {_text(found['note'])}.</p>"
    inside = {True: "yes", False: "no", None: "cannot say"}
    cost = f"{100 * found['regret']:.2g} %"
    if found["regret_low"] is not None:
        cost += f" of the loss ({100 * found['regret_low']:.2g} to {100 * found['regret_high']:.2g} %)"
    return (
        f"<p>Swept as well: the best warmup was {100 * found['optimum']:.2g} %; following the prediction cost {cost}. "
        f"In the interval: {inside[found['in_interval']]}; in the plateau set: {inside[found['in_plateau']]}.</p>"
    )


def _name(row: Mapping[str, Any]) -> str:
    budget = f", {row['budget']} steps" if row["budget"] else ""
    return str(row["diagnostic"]).replace("_", " ") + budget


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _text(value: Any) -> str:
    return "" if value is None else escape(str(value))


def looks(table: polars.DataFrame, labels: Mapping[str, str]) -> str:
    """The record of looks (`look_records.LOOKS`): who was looked at, dropped, shown, and what then."""
    body = []
    for row in table.iter_rows(named=True):
        cell = ", ".join(labels.get(row[axis], row[axis]) for axis in ("architecture", "task"))
        need = (
            "" if row["projected"] is None else f"<br><span class=small>projected {row['projected']:.0f} seeds</span>"
        )
        numbers = "".join(
            f'<td class="number">{value}</td>'
            for value in (row["look"], row["seeds"], row["n"], row["runs"], f"{row['level']:.2g}")
        )
        sets = "".join(f"<td>{_warmups(row[name])}</td>" for name in ("looked_at", "dropped", "demonstrated"))
        verdict = f"<td>{_text(row['verdict'])}{need}<br><span class=small>{_text(row['note'])}</span></td>"
        body.append(
            f"<tr><td>{_text(cell)}</td>{numbers}{sets}<td>{_text(row['reference_verdict'])}</td>{verdict}</tr>"
        )
    names = (
        "cell",
        "look",
        "seeds",
        "complete",
        "runs so far",
        "error rate",
        "looked at",
        "dropped",
        "within the margin",
    )
    head = "".join(f"<th>{name}</th>" for name in (*names, "no warmup", "then"))
    table_html = f"<table><tr>{head}</tr>{''.join(body)}</table>"
    return html_page.page(
        "Record of looks", f'<div class="wide" tabindex="0" role="region" aria-label="Looks">{table_html}</div>'
    )


def _warmups(fractions: Sequence[float]) -> str:
    return ", ".join(f"{100 * fraction:g} %" for fraction in fractions) or "–"
