"""Figures of spikes and predictions: spike ratio against optimum, first gradient norms, leaderboard, budget curve.

In: statistics tables by name, and labels. Out: matplotlib figures by name, and one Altair chart.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair
import numpy as np
import polars
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from warmup.plots import style
from warmup.plots.style import Labels, Tables
from warmup.statistics.base.outcomes import CELL

MARKERS = "osD^vP"
KINDS = {"embedding": "embedding", "mixer": "mixer", "feed_forward": "feed-forward", "norm": "norms", "head": "head"}
"""Layer groups by the end of their name; `final_norm` counts as a norm."""
KIND_COLOURS = dict(zip(KINDS, ("#8a6d00", "#0072b2", "#009e73", "#7f7f7f", "#cc79a7"), strict=True))
SEED_CONTROLS = ("other_seeds", "same_seeds")
CONTROL_GREY = "#b8b8b8"
AXIS_WORDS = {"architecture": "one architecture left out", "task": "one task left out"}


def figures(tables: Tables, labels: Labels) -> dict[str, Figure]:
    """All static figures by name."""
    return {
        "spike_and_optimum": spike_and_optimum(tables, labels),
        "early_norms": early_norms(tables["early"], labels),
        "leaderboard": leaderboard(tables["leaderboard"]),
        "budget_curve": budget_curve(tables["leaderboard"]),
    }


def spike_and_optimum(tables: Tables, labels: Labels) -> Figure:
    """One point per cell: spike ratio with interval against optimum, the plateau set as a bar; r and its limits in
    words.
    """
    points = cells(tables)
    if points.is_empty():
        return _empty("no cell has both a spike ratio and an optimum")
    drawing, axes = style.figure(1, 1, width=7.6, height=4.6)
    axis = axes[0, 0]
    colours = style.colours(points["architecture"].to_list())
    marks = dict(zip(dict.fromkeys(points["task"]), MARKERS * points.height, strict=False))
    shift = _shifts(points.height)
    for row, sideways in zip(points.iter_rows(named=True), shift, strict=True):
        colour, x = colours[row["architecture"]], row["spike_ratio"]
        if row["low"] is not None:
            axis.plot([row["low"], row["high"]], [100 * row["optimum"]] * 2, color=colour, linewidth=1, alpha=0.5)
        if row["plateau_low"] is not None:
            ends = [100 * row["plateau_low"], 100 * row["plateau_high"]]
            axis.plot([x * sideways] * 2, ends, color=colour, linewidth=5, alpha=0.16, solid_capstyle="round")
        axis.plot(x, 100 * row["optimum"], marks[row["task"]], color=colour, markersize=7, markeredgecolor="white")
    axis.set_xscale("log")
    _plain_log(axis.xaxis)
    _warmup_axis(axis.yaxis, points)
    axis.set_xlabel("spike ratio without warmup (largest gradient norm / mean of the stable window)")
    axis.set_ylabel("optimal warmup (% of training)")
    for name, colour in colours.items():
        axis.plot([], [], "o", color=colour, label=labels.get(name, name))
    for name, mark in marks.items():
        axis.plot([], [], mark, color="#555555", label=labels.get(name, name))
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    axis.set_title(_correlation_words(tables["correlation"]), loc="left", fontsize=9, fontweight="normal")
    return drawing


def cells(tables: Tables) -> polars.DataFrame:
    """Cells with a global spike ratio and an optimum: both with their limits, the plateau set's ends beside them."""
    spikes = tables["spikes"].filter(polars.col("group") == "global", polars.col("spike_ratio").is_not_null())
    optima = tables["optima"].select(*CELL, "optimum", "n").drop_nulls("optimum")
    plateaus = tables["plateaus"].select(*CELL, plateau_low="not_excluded_low", plateau_high="not_excluded_high")
    joined = spikes.select(*CELL, "spike_ratio", "low", "high").join(optima, on=CELL, maintain_order="left")
    return joined.join(plateaus, on=CELL, how="left", maintain_order="left")


def early_norms(table: polars.DataFrame, labels: Labels) -> Figure:
    """Gradient norm over the first steps: global in black (seeds thin), layer groups coloured by kind."""
    if table.is_empty():
        return _empty("the study has no runs without warmup")
    architectures, tasks = (list(dict.fromkeys(table[axis])) for axis in ("architecture", "task"))
    drawing, axes = style.figure(len(architectures), len(tasks), width=3.3, height=2.2, sharex=True)
    for row, architecture in enumerate(architectures):
        for column, task in enumerate(tasks):
            axis = axes[row, column]
            part = table.filter(polars.col("architecture") == architecture, polars.col("task") == task)
            _norm_lines(axis, part)
            axis.set_yscale("log")
            _plain_log(axis.yaxis)
            if row == 0:
                axis.set_title(labels.get(task, task))
            if column == 0:
                axis.set_ylabel(f"{labels.get(architecture, architecture)}\ngradient norm")
            if row == len(architectures) - 1:
                axis.set_xlabel("step")
    handles = [axes[0, 0].plot([], [], color=KIND_COLOURS[kind], label=word)[0] for kind, word in KINDS.items()]
    handles.insert(0, axes[0, 0].plot([], [], color="black", label="global")[0])
    drawing.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8)
    return drawing


def _norm_lines(axis: Any, part: polars.DataFrame) -> None:
    mean = part.group_by("group", "step", maintain_order=True).agg(polars.col("value").log().mean().exp()).sort("step")
    for name in dict.fromkeys(mean["group"]):
        kind = next((kind for kind in KINDS if name.endswith(kind)), None)
        if kind:
            line = mean.filter(polars.col("group") == name)
            axis.plot(line["step"], line["value"], color=KIND_COLOURS[kind], linewidth=0.7, alpha=0.75)
    overall = part.filter(polars.col("group") == "global")
    for _, run in overall.group_by("recipe", "seed", maintain_order=True):
        axis.plot(run["step"], run["value"], color="black", linewidth=0.5, alpha=0.35)
    line = mean.filter(polars.col("group") == "global")
    axis.plot(line["step"], line["value"], color="black", linewidth=1.4)


def leaderboard(table: polars.DataFrame) -> Figure:
    """Held-out regret of every predictor, best on top; below those that have no value for some cells, hollow.

    Seed interval thick, interval for a new architecture (task) thin, the shuffled control grey.
    """
    shown = table.filter(polars.col("regret").is_not_null(), ~polars.col("kind").is_in(SEED_CONTROLS))
    if shown.is_empty():
        return _empty("nothing could be held out: the study has one architecture and one task, or no finished sweep")
    axes_names = [name for name in AXIS_WORDS if name in shown["axis"].to_list()]
    parts = [_board(shown.filter(polars.col("axis") == name)) for name in axes_names]
    tall = max(len(part) for part in parts)
    drawing, axes = style.figure(len(parts), 1, width=7.6, height=0.7 + 0.19 * tall)
    for axis, name, part in zip(axes[:, 0], axes_names, parts, strict=True):
        for height, row in enumerate(reversed(part)):
            _board_row(axis, height, row)
        axis.set_yticks(range(len(part)), [predictor_words(row) for row in reversed(part)], fontsize=8)
        axis.axvline(0, color="#444444", linewidth=0.8)
        noise = next((row["noise_regret"] for row in part if row["noise_regret"] is not None), None)
        if noise is not None:
            axis.axvline(100 * noise, color="#444444", linewidth=1, linestyle=":")
        axis.set_xlim(*_board_limits(part))
        axis.set_xlabel("regret of the predicted warmup (% of the loss)")
        axis.set_title(AXIS_WORDS[name], loc="left")
        axis.grid(axis="y", visible=False)
    axis = axes[0, 0]
    handles = [
        axis.plot([], [], "o-", color="#0072b2", linewidth=2.6, label="regret with seed interval")[0],
        axis.plot([], [], color="#0072b2", linewidth=0.8, label="for what was never seen")[0],
        axis.plot([], [], color=CONTROL_GREY, linewidth=5, alpha=0.6, label="same, diagnostics shuffled (5 to 95 %)")[
            0
        ],
        axis.plot([], [], color="#444444", linewidth=1, linestyle=":", label="noise alone, if warmup did nothing")[0],
    ]
    drawing.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8)
    return drawing


def _board(table: polars.DataFrame) -> list[dict[str, Any]]:
    """One row per predictor and budget, by its first map, in order of regret; the shuffled control joined to it."""
    shuffled = table.filter(polars.col("kind") == "shuffled").select(
        "predictor", "budget", shuffled="regret", shuffled_low="regret_low", shuffled_high="regret_high"
    )
    real = table.filter(polars.col("kind") != "shuffled").unique(
        ["predictor", "budget"], keep="first", maintain_order=True
    )
    joined = real.join(shuffled, on=["predictor", "budget"], how="left", maintain_order="left")
    lacking = joined["cells"].max() - joined["cells"]
    return joined.with_columns(lacking=lacking).sort(lacking > 0, "regret", maintain_order=True).to_dicts()


def _board_limits(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Wide enough for estimates and seed intervals; the intervals for something new may run out of the picture."""
    names = ("regret", "regret_low", "regret_high", "shuffled", "noise_regret")
    values = [100 * row[name] for row in rows for name in names if row[name] is not None]
    low, high = min([0.0, *values]), max(values)
    room = 0.08 * (high - low or 1.0)
    return low - room, high + room


def _board_row(axis: Any, height: float, row: Mapping[str, Any]) -> None:
    colour = {"constant": "#8a6d00", "selected": "#d55e00"}.get(row["kind"], "#0072b2")
    if row["shuffled"] is not None:
        ends = [100 * row["shuffled_low"], 100 * row["shuffled_high"]]
        axis.plot(ends, [height] * 2, color=CONTROL_GREY, linewidth=5, alpha=0.6, solid_capstyle="butt")
    if row["regret_new_low"] is not None:
        axis.plot(
            [100 * row["regret_new_low"], 100 * row["regret_new_high"]], [height] * 2, color=colour, linewidth=0.8
        )
    if row["regret_low"] is not None:
        axis.plot([100 * row["regret_low"], 100 * row["regret_high"]], [height] * 2, color=colour, linewidth=2.6)
    inside = "white" if row["lacking"] else colour
    axis.plot(100 * row["regret"], height, "o", color=inside, markersize=5, markeredgecolor=colour)


def predictor_words(row: Mapping[str, Any]) -> str:
    """A predictor's name as a person would say it."""
    name = str(row["predictor"])
    if row["kind"] == "constant":
        if name == "best_constant":
            return "best constant"
        return f"always {name}" if name.endswith("steps") else f"always {100 * float(name):g} %"
    if row["kind"] == "selected":
        return "diagnostic chosen by cross-validation"
    where = f" ({row['cells']} of {row['cells'] + row['lacking']} cells)" if row["lacking"] else ""
    return name.replace("_", " ") + (f", {row['budget']} steps" if row["budget"] else ", recipe alone") + where


def budget_curve(table: polars.DataFrame) -> Figure:
    """Held-out regret less that of the best constant on the same cells, against the early steps a diagnostic sees."""
    part = table.filter(polars.col("axis") == "architecture", polars.col("regret").is_not_null())
    board = polars.DataFrame(_board(part), infer_schema_length=None) if not part.is_empty() else part
    curves = board.filter(polars.col("kind") == "diagnostic", polars.col("budget") > 0) if not part.is_empty() else part
    if curves.is_empty():
        return _empty("no diagnostic of early steps could be scored on architectures left out")
    drawing, axes = style.figure(1, 1, width=7.6, height=4.2)
    axis = axes[0, 0]
    names = list(dict.fromkeys(curves["predictor"]))
    colours = style.colours(sorted(names))
    spread = dict(zip(names, _shifts(len(names), 0.03), strict=True))
    for name in names:
        line = curves.filter(polars.col("predictor") == name).sort("budget")
        x = line["budget"].to_numpy() * spread[name]
        axis.plot(
            x,
            100 * line["versus_constant"].to_numpy(),
            "o-",
            color=colours[name],
            label=name.replace("_", " "),
            markersize=4,
        )
        known = line.filter(polars.col("versus_constant_low").is_not_null())
        ends = (100 * known["versus_constant_low"].to_numpy(), 100 * known["versus_constant_high"].to_numpy())
        axis.vlines(known["budget"].to_numpy() * spread[name], *ends, color=colours[name], linewidth=1, alpha=0.5)
    axis.axhline(0.0, color="#444444", linestyle="--", linewidth=1, label="best constant")
    axis.set_xscale("log")
    axis.set_xticks(sorted(set(curves["budget"])), [str(budget) for budget in sorted(set(curves["budget"]))])
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("steps without warmup that the diagnostic may look at")
    axis.set_ylabel("regret less that of the best constant (% of the loss)\n↓ diagnostic better")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    return drawing


def interactive(tables: Tables, labels: Labels) -> Any:
    """`spike_and_optimum` to hover over: every cell with its numbers."""
    points = cells(tables)
    named = points.with_columns(
        *[polars.col(axis).replace(dict(labels)).alias(axis) for axis in CELL],
        optimum=100 * polars.col("optimum"),
        plateau_low=100 * polars.col("plateau_low"),
        plateau_high=100 * polars.col("plateau_high"),
    )
    data = altair.Data(values=named.to_dicts())
    shades = style.colours(named["architecture"].to_list())
    colour = altair.Color(
        "architecture:N", scale=altair.Scale(domain=list(shades), range=list(shades.values())), title="architecture"
    )
    warmup = altair.Scale(type="symlog", constant=0.5)
    tips = [
        altair.Tooltip(f"{name}:{kind}", title=title, format=form)
        for name, kind, title, form in (
            ("architecture", "N", "architecture", ""),
            ("task", "N", "task", ""),
            ("recipe", "N", "recipe", ""),
            ("spike_ratio", "Q", "spike ratio", ".3g"),
            ("low", "Q", "from", ".3g"),
            ("high", "Q", "to", ".3g"),
            ("optimum", "Q", "optimum (%)", ".3g"),
            ("plateau_low", "Q", "plateau from (%)", ".3g"),
            ("plateau_high", "Q", "plateau to (%)", ".3g"),
            ("n", "Q", "seeds", "d"),
        )
    ]
    base = altair.Chart(data).encode(color=colour, tooltip=tips)
    x = altair.X("spike_ratio:Q", scale=altair.Scale(type="log", nice=True), title="spike ratio without warmup")
    y = altair.Y("optimum:Q", scale=warmup, title="optimal warmup (% of training)")
    bars = base.mark_rule(strokeWidth=7, opacity=0.18, strokeCap="round").encode(
        x=x, y=altair.Y("plateau_low:Q", scale=warmup), y2="plateau_high:Q"
    )
    limits = base.mark_rule(opacity=0.6).encode(x=altair.X("low:Q"), x2="high:Q", y=y)
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(
        x=x, y=y, shape=altair.Shape("task:N", title="task")
    )
    return altair.layer(bars, limits, dots).properties(width=640, height=380)


def _correlation_words(table: polars.DataFrame) -> str:
    rows = table.filter(
        polars.col("measure") == "pearson", polars.col("scope") == "all", polars.col("level") != "seeds"
    )
    found = {row["method"]: row for row in rows.iter_rows(named=True)}
    cautious, test = found.get("fisher_clusters", {}), found.get("permutation", {})
    value = cautious.get("estimate")
    if value is None:
        return f"r: cannot say ({cautious.get('note') or 'no correlation was computed'})"
    count = f"{cautious['cells']} cells of {cautious['architectures']} architectures"
    words = f"r = {value:.2f} with the measured optimum over {count}"
    if cautious.get("low") is not None:
        words += f", {cautious['low']:.2f} to {cautious['high']:.2f}"
    else:
        words += ", limits: cannot say"
    if test.get("p_value") is not None:
        words += f"; permutation p = {test['p_value']:.3g} (smallest possible {test['smallest_p']:.2g})"
    return words


def _shifts(count: int, spread: float = 0.0) -> list[float]:
    """Factors about 1 that keep things at the same place on a log axis apart."""
    return [float(np.exp(spread * (index - (count - 1) / 2))) for index in range(count)]


def _plain_log(axis: Any) -> None:
    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _warmup_axis(axis: Any, points: polars.DataFrame) -> None:
    """Percent of training, linear near 0 and logarithmic beyond."""
    axis.axes.set_yscale("symlog", linthresh=1.0, linscale=0.6)
    ends = [100 * value for name in ("plateau_low", "plateau_high", "optimum") for value in points[name].drop_nulls()]
    ticks = [tick for tick in (0, 0.5, 1, 2, 5, 10, 20, 50, 100) if tick <= 1.3 * max([*ends, 1.0])]
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_minor_formatter(NullFormatter())
    axis.axes.set_ylim(bottom=-0.25)


def _empty(reason: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    drawing, axes = style.figure(1, 1, width=6.0, height=1.2)
    axes[0, 0].axis("off")
    axes[0, 0].text(0.5, 0.5, f"Cannot say: {reason}.", ha="center", va="center", wrap=True)
    return drawing


UNIT_WORDS = {
    "share": "share of training",
    "steps": "steps",
    "examples": "examples",
    "time_constants": "steps x (1 - beta2)",
    "examples_over_memory": "examples x (1 - beta2)",
}
"""Units of warmup as an axis names them."""


def unit_curves(tables: Tables, labels: Labels) -> Figure:
    """Mean outcome of each corner against its warmup, one column per unit: where warmup is needed in that unit, the
    curves of a row lie on each other. Titles tell what choosing by the other corners costs. Leftmost is no warmup.
    """
    curves, regrets = tables["unit_curves"], tables["unit_regrets"]
    if curves.is_empty():
        return _empty("no architecture and task has corners to compare")
    places = curves.select("architecture", "task").unique(maintain_order=True).rows()
    drawing, axes = style.figure(len(places), len(UNIT_WORDS), width=2.3, height=2.1, sharey="row")
    colours = style.colours(curves["recipe"].unique(maintain_order=True).to_list())
    for (architecture, task), row in zip(places, axes, strict=True):
        here = {"architecture": architecture, "task": task}
        for (unit, words), axis in zip(UNIT_WORDS.items(), row, strict=True):
            part = curves.filter(unit=unit, **here)
            least = part.filter(polars.col("amount") > 0)["amount"].to_numpy().min() / 2
            for recipe, colour in colours.items():
                line = part.filter(recipe=recipe).sort("amount")
                amounts = np.maximum(line["amount"].to_numpy(), least)
                axis.plot(amounts, line["excess"], ".-", color=colour, linewidth=1, label=labels.get(recipe, recipe))
            axis.set_xscale("log", base=2)
            axis.set_xlabel(f"warmup: {words}", fontsize=8)
            cost = regrets.filter(unit=unit, **here)["regret"].to_list()
            axis.set_title(f"costs {cost[0]:.2g} margins", fontsize=8, fontweight="normal")
        row[0].set_ylabel(f"{labels.get(architecture, architecture)}, {labels.get(task, task)}\nmargins above lowest")
    handles, names = axes[0, 0].get_legend_handles_labels()
    drawing.legend(handles, names, loc="outside lower center", fontsize=7, ncols=4)
    return drawing
