"""The bill as a person reads it: a table for the terminal, a page for the report. No torch."""

from collections.abc import Callable, Sequence
from html import escape

from warmup import html_page
from warmup.cost.bill import Row, Totals
from warmup.cost.reality import Measured

Column = tuple[str, Callable[[Row], str]]

COLUMNS: tuple[Column, ...] = (
    ("architecture", lambda row: row.architecture),
    ("task", lambda row: row.task),
    ("recipe", lambda row: row.recipe),
    ("runs", lambda row: str(row.runs)),
    ("parameters", lambda row: f"{row.parameters / 1e6:,.1f} M"),
    ("active", lambda row: f"{row.active_parameters / 1e6:,.1f} M"),
    ("FLOP/step", lambda row: f"{row.flops_per_step:.2e}"),
    ("weights", lambda row: _gb(row.weights_gb)),
    ("optimiser", lambda row: _gb(row.optimizer_gb)),
    ("activations", lambda row: _gb(row.activations_gb)),
    ("memory", lambda row: _gb(row.memory_gb)),
    ("s/step", lambda row: f"{row.step_seconds:.3g}"),
    ("one run", lambda row: lasting(row.run_hours)),
    ("all runs", lambda row: lasting(row.total_hours)),
    ("logs", lambda row: _gb(row.log_gb)),
)

MEASURED = ("architecture", "task", "recipe", "runs", "one run", "measured / planned", "utilisation", "GPU memory")

STYLE = """
th, td { text-align: right; padding: .3rem .6rem; white-space: nowrap }
td:nth-child(-n+3), th:nth-child(-n+3) { text-align: left }
"""


def text(scale: str, bill: Sequence[Row], totals: Totals, measured: Sequence[Measured]) -> str:
    """The bill for a terminal."""
    head, cells = [name for name, _ in COLUMNS], [[show(row) for _, show in COLUMNS] for row in bill]
    parts = [f"Bill of scale {scale}, {sentence(totals)}", "", *_aligned(head, cells)]
    parts += ["", *(f"note: {note}" for note in notes(bill)), *disk(totals)]
    if measured:
        parts += ["", "Measured on finished runs:", *_aligned(list(MEASURED), [_measured(row) for row in measured])]
    return "\n".join(parts)


def html(scale: str, bill: Sequence[Row], totals: Totals, measured: Sequence[Measured]) -> str:
    """The bill as a page of its own: no network, no script."""
    head, cells = [name for name, _ in COLUMNS], [[show(row) for _, show in COLUMNS] for row in bill]
    body = [f"<p>{escape(sentence(totals))}</p>", _table(head, cells)]
    body += [f"<p>{escape(line)}</p>" for line in (*notes(bill), *disk(totals))]
    if measured:
        body.append("<h2>Measured on finished runs</h2>" + _table(list(MEASURED), [_measured(row) for row in measured]))
    return html_page.page(f"Cost of scale {scale}", "".join(body), STYLE)


def sentence(totals: Totals) -> str:
    """The totals in one sentence."""
    price = "" if totals.price is None else f", {totals.price:,.0f} in money"
    first = f"{totals.runs} runs on {totals.device}: "
    if totals.count == 1:
        return f"{first}{lasting(totals.hours)}{price} one after another"
    return (
        f"{first}{totals.hours:,.0f} device hours{price}; "
        f"{_hours(totals.wall_hours)} h ({totals.wall_hours / 24:.1f} days) with {totals.count} at once"
    )


def disk(totals: Totals) -> list[str]:
    """Disk in one sentence."""
    kept = f", last checkpoints that other runs begin with {_gb(totals.kept_gb)}" if totals.kept_gb else ""
    data = f", prepared data {_gb(totals.data_gb)}" if totals.data_gb else ""
    return [f"disk: logs {_gb(totals.log_gb)}, checkpoints of runs under way {_gb(totals.checkpoint_gb)}{kept}{data}"]


def notes(bill: Sequence[Row]) -> list[str]:
    """Each note once, with the cells it is about."""
    about: dict[str, list[str]] = {}
    for row in bill:
        if row.note:
            about.setdefault(row.note, []).append(f"{row.architecture} on {row.task}")
    return [f"{', '.join(dict.fromkeys(cells))}: {note}" for note, cells in about.items()]


def _measured(row: Measured) -> list[str]:
    memory = "-" if row.memory_gb is None else f"{_gb(row.memory_gb)} of planned {_gb(row.planned_memory_gb)}"
    runs = f"{row.runs} ({row.resumed} resumed)" if row.resumed else str(row.runs)
    measured = [runs, lasting(row.run_hours), f"{row.ratio:.2f}", f"{100 * row.utilisation:.1f} %", memory]
    return [row.architecture, row.task, row.recipe, *measured]


def _aligned(head: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) if index < 3 else cell.rjust(width) for index, (cell, width) in enumerate(cells))
        for cells in (zip(row, widths, strict=True) for row in (head, *rows))
    ]
    return [lines[0].rstrip(), "-" * len(lines[0]), *(line.rstrip() for line in lines[1:])]


def _table(head: list[str], rows: list[list[str]]) -> str:
    def line(cells: list[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = line(head, "th") + "".join(line(row, "td") for row in rows)
    return f'<div class="wide" tabindex="0" role="region" aria-label="Cost"><table>{body}</table></div>'


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


def lasting(hours: float) -> str:
    """In the unit that is read most easily: "4.3 s", "12 min", "3.5 h"."""
    seconds = 3600 * hours
    return f"{seconds:.2g} s" if seconds < 99.5 else f"{seconds / 60:.0f} min" if hours < 2 else f"{_hours(hours)} h"


def _gb(size: float) -> str:
    return f"{size:,.0f} GB" if size >= 100 else f"{size:.2g} GB" if size < 10 else f"{size:.0f} GB"
