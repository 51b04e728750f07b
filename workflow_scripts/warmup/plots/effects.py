"""Figures of the effect of warmup: loss against warmup with every seed, regret with plateaus, comparisons.

In: the tables runs, regrets, plateaus, optima, comparisons, and `words` (labels of axes' values, unit of each task's
loss). Out: matplotlib figures by name, and one Altair chart (effects_interactive.py). Nothing is estimated here.
"""

import math
from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import polars
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from warmup.plots import style
from warmup.plots.style import Tables, Words
from warmup.statistics.base.outcomes import CELL, with_outcome
from warmup.statistics.base.pairing import ONE_WARMUP

INK = "#222222"
FAINT = "#8c8c8c"
VERDICTS = {"better": "#1b7837", "worse": "#b2182b", "equivalent": "#0072b2", "inconclusive": "#9a9a9a"}
SHORT_SPAN = 0.035
"""Half width of a plateau of one warmup, as a share of the axis."""


def figures(tables: Tables, words: Words) -> dict[str, Figure]:
    """All static figures by name."""
    with matplotlib.rc_context(style.BASE):
        return {
            "loss_against_warmup": loss_against_warmup(tables, words),
            "regret": regret(tables, words),
            "comparisons": comparisons(tables["comparisons"], words),
        }


def swept(plateaus: polars.DataFrame) -> polars.DataFrame:
    """Rows of the cells that were trained at several warmups, which is what there is to draw; all if there are none."""
    several = plateaus.filter(~polars.col("note").fill_null("").str.contains(ONE_WARMUP, literal=True))
    return plateaus if several.is_empty() else several


def percent(warmup: float) -> str:
    """A warmup fraction as text, in per cent of training."""
    return f"{100.0 * warmup:.4g}"


def position(warmup: Any, offset: float) -> Any:
    """Abscissa of a warmup fraction: log(W + W0), the smooth optimum's own axis."""
    return np.log(np.asarray(warmup, dtype=np.float64) + offset)


def loss_against_warmup(tables: Tables, words: Words) -> Figure:
    """One panel per cell, tasks in rows: seeds as thin lines, mean with comparison limits, plateau sets as bands."""
    cells = tables["plateaus"].select(CELL)
    tasks, columns = _levels(cells, "task"), _columns(cells)
    drawing, axes = style.figure(len(tasks), len(columns), width=2.75, height=2.25)
    colours = style.colours(_levels(cells, "architecture"))
    runs = with_outcome(tables["runs"], words["outcome"])
    for row, task in enumerate(tasks):
        for column, (architecture, recipe) in enumerate(columns):
            axis = axes[row, column]
            cell = {"architecture": architecture, "task": task, "recipe": recipe}
            part = runs.filter(**cell)
            if part.is_empty():
                axis.set_axis_off()
                continue
            _cell(axis, tables, cell, part, colours[architecture], words)
            if row == 0:
                axis.set_title(_column_title(architecture, recipe, columns, words), color=colours[architecture])
            if column == 0:
                axis.set_ylabel(f"{_label(task, words)}\n{_unit(task, words)}")
            if row == len(tasks) - 1:
                axis.set_xlabel("warmup (% of training)")
    drawing.legend(handles=_legend(words), loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    return drawing


def _cell(
    axis: Any, tables: Tables, cell: Mapping[str, str], runs: polars.DataFrame, colour: str, words: Words
) -> None:
    warmups = runs["warmup"].unique().sort().to_list()
    _bands(axis, tables["plateaus"].filter(**cell).row(0, named=True), warmups, colour, words)
    for _, seed in runs.sort("warmup").group_by("seed", maintain_order=True):
        x = position(seed["warmup"], words["offset"])
        axis.plot(x, seed["outcome"], color=colour, linewidth=0.7, alpha=0.4, zorder=2)
        axis.plot(x, seed["outcome"], "o", color=colour, markersize=3, alpha=0.65, markeredgewidth=0, zorder=3)
    failed = runs.filter(status="diverged")
    if failed.height:
        axis.plot(
            position(failed["warmup"], words["offset"]), failed["outcome"], "x", color=INK, markersize=5, zorder=4
        )
    arms = tables["regrets"].filter(**cell).drop_nulls("mean").sort("warmup")
    if arms.height:
        x, mean = position(arms["warmup"], words["offset"]), arms["mean"].to_numpy()
        reach = np.vstack([mean - arms["mean_low"].to_numpy(), arms["mean_high"].to_numpy() - mean])
        axis.errorbar(
            x, mean, reach, color=INK, linewidth=1.6, elinewidth=1.2, capsize=0, marker="o", markersize=4, zorder=5
        )
    best = tables["optima"].filter(**cell).row(0, named=True)
    if best["optimum"] is not None:
        axis.plot(
            position(best["optimum"], words["offset"]), best["outcome"], "*", color=colour, markersize=13,
            markeredgecolor="white", markeredgewidth=0.8, zorder=6,
        )  # fmt: skip
    else:
        axis.set_title(best["note"], fontsize=7, fontweight="normal", color=FAINT, loc="left", wrap=True)
    _limits(axis, runs, arms)
    _warmup_axis(axis, warmups, words)
    axis.yaxis.set_major_locator(MaxNLocator(4))


def _limits(axis: Any, runs: polars.DataFrame, arms: polars.DataFrame) -> None:
    """Loss limits that show every seed and every mean; comparison limits may reach beyond, up to half the range."""
    values = runs["outcome"].drop_nulls().to_numpy()
    if len(values) == 0:
        return
    low, high = float(values.min()), float(values.max())
    room = 0.5 * (high - low) or 0.05 * abs(high)
    if arms.height:
        low = max(low - room, min(low, float(arms["mean_low"].min())))  # type: ignore[arg-type]
        high = min(high + room, max(high, float(arms["mean_high"].max())))  # type: ignore[arg-type]
    pad = 0.06 * (high - low) or 0.01 * abs(high)
    axis.set_ylim(low - pad, high + pad)


def _bands(axis: Any, plateau: Mapping[str, Any], warmups: list[float], colour: str, words: Words) -> None:
    for name, alpha in (("not_excluded", 0.10), ("demonstrated", 0.20)):
        for low, high in _stretches(plateau[name] or [], warmups):
            left, right = _edges(low, high, warmups, words["offset"])
            axis.axvspan(left, right, color=colour, alpha=alpha, linewidth=0, zorder=0)


def _stretches(members: list[float], warmups: list[float]) -> list[tuple[float, float]]:
    """Runs of neighbouring warmups in a set, as (first, last)."""
    found: list[tuple[float, float]] = []
    before = None
    for index, warmup in enumerate(warmups):
        if warmup in members:
            found = (
                [*found[:-1], (found[-1][0], warmup)] if before == index - 1 and found else [*found, (warmup, warmup)]
            )
            before = index
    return found


def _edges(low: float, high: float, warmups: list[float], offset: float) -> tuple[float, float]:
    """A stretch's ends on the axis, a little wider than its first and last warmup."""
    whole = position([warmups[0], warmups[-1]], offset)
    room = SHORT_SPAN * float(whole[1] - whole[0] or 1.0)
    return float(position(low, offset)) - room, float(position(high, offset)) + room


def _warmup_axis(axis: Any, warmups: list[float], words: Words) -> None:
    places = position(warmups, words["offset"])
    axis.xaxis.set_major_locator(FixedLocator(list(places)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FixedFormatter([percent(warmup) for warmup in warmups]))
    axis.tick_params(labelsize=8)
    room = 1.6 * SHORT_SPAN * float(places[-1] - places[0] or 1.0)
    axis.set_xlim(places[0] - room, places[-1] + room)


def _legend(words: Words) -> list[Any]:
    level = f"{100 * words['confidence']:g} %"
    return [
        Line2D([], [], color=FAINT, linewidth=0.8, marker="o", markersize=3, label="one seed"),
        Line2D([], [], color=INK, linewidth=1.6, marker="o", markersize=4, label=f"mean, {level} comparison limits"),
        Line2D([], [], color=FAINT, linewidth=0, marker="*", markersize=10, label="lowest mean"),
        Line2D([], [], color=INK, linewidth=0, marker="x", markersize=5, label="diverged"),
        Patch(color=FAINT, alpha=0.25, linewidth=0, label="plateau: not excluded"),
        Patch(color=FAINT, alpha=0.55, linewidth=0, label="plateau: demonstrated"),
    ]


def regret(tables: Tables, words: Words) -> Figure:
    """Per task, above: regret with simultaneous limits (linear up to the margin, then log); below: plateau sets."""
    cells = tables["plateaus"].select(CELL)
    tasks, columns = _levels(cells, "task"), _columns(cells)
    share = 0.16 * len(columns) + 0.25
    drawing, axes = style.figure(
        2, len(tasks), width=3.6, height=(2.9 + share) / 2, height_ratios=[2.9, share], sharex="col"
    )
    colours = style.colours(_levels(cells, "architecture"))
    for column, task in enumerate(tasks):
        curves, bars = axes[0, column], axes[1, column]
        part = tables["regrets"].filter(task=task)
        warmups = part["warmup"].unique().sort().to_list()
        step = min(0.02, 0.07 / len(columns)) * float(np.ptp(position(warmups, words["offset"])) or 1.0)
        for place, (architecture, recipe) in enumerate(columns):
            cell = {"architecture": architecture, "task": task, "recipe": recipe}
            arms = part.filter(**cell).drop_nulls("regret").sort("warmup")
            _regret_curve(curves, arms, colours[architecture], step * (place - (len(columns) - 1) / 2), words)
            for plateau in tables["plateaus"].filter(**cell).iter_rows(named=True):
                _plateau_bar(bars, plateau, len(columns) - place, warmups, colours[architecture], words)
        _margin(curves, part)
        curves.set_title(_label(task, words))
        curves.set_ylabel(f"regret ({_unit(task, words)})" if column == 0 else _unit(task, words))
        bars.set_ylim(0.4, len(columns) + 0.6)
        bars.set_yticks(range(1, len(columns) + 1))
        names = [_column_title(*one, columns, words).replace("\n", ", ") for one in reversed(columns)]
        bars.set_yticklabels(names if column == 0 else [""] * len(names), fontsize=8)
        bars.set_xlabel("warmup (% of training)")
        bars.grid(axis="y", visible=False)
        _warmup_axis(bars, warmups, words)
    drawing.legend(
        handles=_regret_legend(colours, words), loc="outside lower center", ncols=8, fontsize=8, frameon=False
    )
    return drawing


def _regret_curve(axis: Any, arms: polars.DataFrame, colour: str, shift: float, words: Words) -> None:
    if arms.is_empty():
        return
    x, value = position(arms["warmup"], words["offset"]) + shift, arms["regret"].to_numpy()
    reach = np.vstack([value - arms["regret_low"].to_numpy(), arms["regret_high"].to_numpy() - value])
    axis.errorbar(x, value, reach, color=colour, marker="o", markersize=4, linewidth=1.4, elinewidth=1.0, alpha=0.9)


def _margin(axis: Any, arms: polars.DataFrame) -> None:
    """The practical margin as a line (a band where it differs between cells); the axis is linear up to it."""
    margins = arms["margin"].drop_nulls()
    if margins.is_empty():
        axis.set_ylim(0.0, 1.0)
        return
    low, high = float(margins.min()), float(margins.max())  # type: ignore[arg-type]
    top = max(1.3 * float(arms["regret_high"].max()), 2.0 * high)  # type: ignore[arg-type]
    axis.set_yscale("symlog", linthresh=high, linscale=0.8)
    axis.yaxis.set_major_locator(FixedLocator([0.0, *_round_numbers(high, top)]))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.set_ylim(-0.15 * high, top)
    axis.axhspan(-high, high, color=INK, alpha=0.05, linewidth=0)
    axis.axhspan(low, high, color=INK, alpha=0.25, linewidth=0)
    axis.axhline(high, color=INK, linewidth=0.8, linestyle="--")
    axis.annotate(
        f"practical margin {high:.2g}", (0.99, high), xycoords=("axes fraction", "data"), xytext=(0, 2),
        textcoords="offset points", ha="right", fontsize=7, color=INK,
        bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.6},
    )  # fmt: skip


def _round_numbers(low: float, high: float) -> list[float]:
    """1, 2, 5 times powers of ten from `low` to `high`; only the powers where these are more than six."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [lead * 10.0**decade for decade in decades for lead in (1, 2, 5) if low <= lead * 10.0**decade <= high]
    return fine if len(fine) <= 6 else [value for value in fine if f"{value:e}".startswith("1.0")]


def _regret_legend(colours: Mapping[str, str], words: Words) -> list[Any]:
    marks: list[Any] = [
        Line2D([], [], color=colour, marker="o", markersize=4, label=_label(name, words))
        for name, colour in colours.items()
    ]
    return [
        *marks,
        Line2D([], [], color=FAINT, linewidth=4, alpha=0.5, label="not excluded"),
        Line2D([], [], color=FAINT, linewidth=9, label="demonstrated"),
    ]


def _plateau_bar(
    axis: Any, plateau: Mapping[str, Any], place: int, warmups: list[float], colour: str, words: Words
) -> None:
    if plateau["verdict"] != "ok":
        axis.text(
            0.02, place, plateau["note"], transform=axis.get_yaxis_transform(), fontsize=7, color=FAINT, va="center"
        )
        return
    for name, width, alpha in (("not_excluded", 4, 0.35), ("demonstrated", 9, 1.0)):
        for low, high in _stretches(plateau[name], warmups):
            ends = _edges(low, high, warmups, words["offset"])
            axis.plot(ends, [place, place], color=colour, linewidth=width, alpha=alpha, solid_capstyle="butt")


def comparisons(table: polars.DataFrame, words: Words) -> Figure:
    """Forest plot, one panel per task: paired differences with single (thick) and family-wide (thin) limits."""
    tasks = _levels(table, "task")
    sizes = [table.filter(task=task).height for task in tasks]
    drawing, axes = style.figure(1, len(tasks) or 1, width=3.9, height=0.9 + 0.19 * max(sizes, default=1))
    for column, task in enumerate(tasks):
        axis, rows = axes[0, column], table.filter(task=task)
        _forest(axis, rows, words)
        axis.set_title(_label(task, words))
        axis.set_xlabel(f"difference ({_unit(task, words)})\n← warmup better      warmup worse →")
    handles: list[Any] = [
        Line2D([], [], color=colour, marker="o", linewidth=2.2, label=name) for name, colour in VERDICTS.items()
    ]
    handles.append(Patch(color=INK, alpha=0.08, linewidth=0, label="within the margin"))
    drawing.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    return drawing


def _forest(axis: Any, rows: polars.DataFrame, words: Words) -> None:
    names = []
    top = rows.height
    several = rows["family"].n_unique() > 1
    columns = _columns(rows)
    for index, row in enumerate(rows.iter_rows(named=True)):
        place = top - index
        against = f"{percent(row['warmup'])} % vs {percent(row['reference'])} %"
        who = _column_title(row["architecture"], row["recipe"], columns, words).replace("\n", ", ")
        names.append(f"{who}: {against}" + (f"  ({row['family']})" if several else ""))
        if row["difference"] is None:
            axis.text(
                0.5,
                place,
                row["note"],
                transform=axis.get_yaxis_transform(),
                fontsize=6.5,
                color=FAINT,
                ha="center",
                va="center",
            )
            continue
        colour = VERDICTS[row["verdict"]]
        axis.fill_betweenx(
            [place - 0.5, place + 0.5], -row["margin"], row["margin"], color=INK, alpha=0.08, linewidth=0
        )
        axis.plot([row["bonferroni_low"], row["bonferroni_high"]], [place] * 2, color=colour, linewidth=0.8, alpha=0.8)
        axis.plot([row["low"], row["high"]], [place] * 2, color=colour, linewidth=2.2, solid_capstyle="butt")
        axis.plot(
            row["difference"], place, "o", color=colour, markersize=4.5, markeredgecolor="white", markeredgewidth=0.5
        )
    axis.axvline(0.0, color=INK, linewidth=0.8)
    _difference_axis(axis, rows.drop_nulls("difference"))
    axis.set_ylim(0.4, top + 0.6)
    axis.set_yticks(range(top, 0, -1))
    axis.set_yticklabels(names, fontsize=7)
    axis.grid(axis="y", visible=False)


def _difference_axis(axis: Any, rows: polars.DataFrame) -> None:
    """Differences symmetric about 0, linear up to the margin, then log: small and wild cells stay legible together."""
    if rows.is_empty():
        return
    margin = float(rows["margin"].max())  # type: ignore[arg-type]
    ends = rows.select(polars.max_horizontal(polars.col("bonferroni_low").abs(), polars.col("bonferroni_high").abs()))
    reach = max(1.2 * float(ends.to_series().max()), 2.0 * margin)  # type: ignore[arg-type]
    axis.set_xscale("symlog", linthresh=margin, linscale=0.8)
    decades = [value for value in _round_numbers(margin, reach) if f"{value:e}".startswith("1.0")] or [margin]
    axis.xaxis.set_major_locator(FixedLocator([*(-value for value in decades), 0.0, *decades]))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlim(-reach, reach)


def _levels(table: polars.DataFrame, axis: str) -> list[str]:
    return list(dict.fromkeys(table[axis]))


def _columns(cells: polars.DataFrame) -> list[tuple[str, str]]:
    """(architecture, recipe) pairs, in order of appearance."""
    return list(dict.fromkeys(cells.select("architecture", "recipe").iter_rows()))


def _column_title(architecture: str, recipe: str, columns: list[tuple[str, str]], words: Words) -> str:
    several = len({name for _, name in columns}) > 1
    return _label(architecture, words) + (f"\n{_label(recipe, words)}" if several else "")


def _label(name: str, words: Words) -> str:
    return str(words["labels"].get(name, name))


def _unit(task: str, words: Words) -> str:
    return str(words["units"].get(task, "loss"))
