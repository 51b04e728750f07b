"""Figures of what happened inside runs without warmup: entropy beside the gradient norm, spectra, maps, spike sources.

In: the tables curves, norms, order, matrices, sources, and `words` (labels of names). Out: matplotlib figures by name.
Where a study has several recipes, the first of them is drawn. Nothing is estimated here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import polars
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from warmup.plots import style
from warmup.plots.style import Labels, Tables

LONGEST_TITLE = 36
"""Letters of a panel's title that fit on one line."""
ENTROPIES = ("relative_entropy", "mixing_relative_entropy")
VERDICTS = {
    "entropy first": "#0072b2", "gradient first": "#d55e00", "together": "#7f7f7f", "not related": "#bdbdbd",
    "cannot say": "#dddddd",
}  # fmt: skip
KINDS = {"embedding": "#8a6d00", "mixer": "#0072b2", "feed_forward": "#009e73", "norm": "#7f7f7f", "head": "#cc79a7"}
OTHER_KIND = "#56b4e9"


def figures(tables: Tables, labels: Labels) -> dict[str, Figure]:
    """All figures by name."""
    with matplotlib.rc_context(style.BASE):
        return {
            "entropy_and_norm": entropy_and_norm(tables["curves"], tables["norms"], labels),
            "which_first": which_first(tables["order"], labels),
            "query_key_spectra": query_key_spectra(tables["curves"], tables["matrices"], labels),
            "mixing_maps": mixing_maps(tables["matrices"], labels),
            "spike_sources": spike_sources(tables["sources"], labels),
        }


def first_recipe(table: polars.DataFrame) -> polars.DataFrame:
    """Rows of the recipe that stands first in `table`."""
    return table.filter(polars.col("recipe") == table["recipe"][0]) if table.height else table


def entropy_and_norm(curves: polars.DataFrame, norms: polars.DataFrame, labels: Labels) -> Figure:
    """Per cell, above: relative entropy over (step, layer), mean of seeds; below: gradient norms on the same axis, each
    seed, their largest marked by a line through both.
    """
    entropy = first_recipe(curves.filter(polars.col("quantity").is_in(ENTROPIES)))
    if entropy.is_empty():
        return empty("no run without warmup has probed entropies")
    places = list(entropy.select("architecture", "task").unique(maintain_order=True).iter_rows())
    tasks = _names(entropy, "task")
    # a full grid has a column per task; a study of few pairs is set in lines
    columns = len(tasks) if len(places) == len(tasks) * len(_names(entropy, "architecture")) else min(3, len(places))
    rows = -(-len(places) // columns)
    drawing, axes = style.figure(
        2 * rows, columns, width=3.2, height=1.15, gridspec_kw={"height_ratios": [1.25, 1.0] * rows}
    )
    image = None
    for index in range(rows * columns):
        row, column = divmod(index, columns)
        above, below = axes[2 * row, column], axes[2 * row + 1, column]
        if index >= len(places):
            above.axis("off")
            below.axis("off")
            continue
        architecture, task = places[index]
        image = _heat(above, _of(entropy, architecture, task))
        _norms(below, (above, below), _of(first_recipe(norms), architecture, task))
        below.set_xlim(above.get_xlim())
        plain_log(above.xaxis)
        above.set_xticklabels([])
        above.set_ylabel("layer", fontsize=8)
        below.set_ylabel("gradient norm", fontsize=8)
        title = f"{labels.get(architecture, architecture)}, {labels.get(task, task)}"
        above.set_title(title if len(title) <= LONGEST_TITLE else title.replace(", ", ",\n"), fontsize=9, loc="left")
        if index + columns >= len(places):
            below.set_xlabel("step + 1")
    if image is not None:
        bar = drawing.colorbar(image, ax=axes, location="bottom", shrink=0.4, aspect=40, pad=0.01)
        bar.set_label("relative entropy of the mixing (1: uniform, 0: one key), mean of heads and seeds")
    return drawing


def _heat(axis: Any, part: polars.DataFrame) -> Any:
    layers = sorted(part["layer"].unique().to_list())
    steps = sorted(part["step"].unique().to_list())
    grid = np.full((len(layers), len(steps)), np.nan)
    for (layer, step), rest in part.group_by("layer", "step"):
        grid[layers.index(layer), steps.index(step)] = rest["mean"].mean()
    attention = set(part.filter(polars.col("quantity") == ENTROPIES[0])["layer"].to_list())
    mixed = 0 < len(attention) < len(layers)
    names = [f"{layer} {'attention' if layer in attention else 'mixer'}" if mixed else str(layer) for layer in layers]
    edges = _edges(np.array(steps, dtype=float) + 1.0)
    image = axis.pcolormesh(edges, np.arange(len(layers) + 1), grid, cmap="viridis", vmin=0, vmax=1, rasterized=True)
    chosen = range(0, len(layers), max(1, len(layers) // 6))
    axis.set_yticks([index + 0.5 for index in chosen], [names[index] for index in chosen], fontsize=7)
    axis.set_xscale("log")
    axis.grid(False)
    return image


def _edges(centres: Any) -> Any:
    """Edges half way (on the log axis) between `centres` [k], one more at both ends [k + 1]."""
    logs = np.log(centres)
    middle = (logs[:-1] + logs[1:]) / 2
    last = logs[-1] + (logs[-1] - middle[-1] if len(middle) else 0.5)
    return np.exp(np.concatenate([[logs[0] - (middle[0] - logs[0] if len(middle) else 0.5)], middle, [last]]))


def _norms(axis: Any, marked: Sequence[Any], part: polars.DataFrame) -> None:
    for _, run in part.group_by("seed", maintain_order=True):
        axis.plot(run["step"] + 1, run["value"], color="#444444", linewidth=0.8, alpha=0.6)
        if run.height and run["value"].is_finite().any():
            finite = run.filter(polars.col("value").is_finite())
            step = int(finite["step"][int(finite["value"].arg_max() or 0)]) + 1
            for panel in marked:
                panel.axvline(step, color="#d55e00", linewidth=0.9, alpha=0.8)
    axis.set_yscale("log")
    axis.set_xscale("log")
    for direction in (axis.xaxis, axis.yaxis):
        plain_log(direction)


def which_first(order: polars.DataFrame, labels: Labels) -> Figure:
    """Lag between the fall of entropy and the gradient norm per cell, with its interval, coloured by verdict."""
    shown = first_recipe(order.filter(polars.col("layer") == -1))
    if shown.is_empty():
        return empty("no run without warmup has probed entropies")
    drawing, axes = style.figure(1, 1, width=8.4, height=0.9 + 0.3 * shown.height)
    axis = axes[0, 0]
    reach = max([abs(value) for value in shown["lag"].drop_nulls()] + [shown["resolution"].max() or 1]) * 1.6 + 1
    for height, row in enumerate(reversed(list(shown.iter_rows(named=True)))):
        colour = VERDICTS.get(row["verdict"], "#000000")
        if row["lag_low"] is not None:
            limits = np.clip([row["lag_low"], row["lag_high"]], -reach, reach)
            axis.plot(limits, [height] * 2, color=colour, linewidth=2)
        if row["lag"] is not None:
            axis.plot(row["lag"], height, "o", color=colour, markersize=6, markeredgecolor="white")
        axis.text(1.02, height, _order_words(row), transform=axis.get_yaxis_transform(), va="center", fontsize=8)
    names = [
        f"{', '.join(labels.get(row[axis], row[axis]) for axis in ('architecture', 'task'))} ({row['mixer']})"
        for row in reversed(list(shown.iter_rows(named=True)))
    ]
    axis.set_yticks(range(shown.height), names, fontsize=8)
    axis.axvline(0, color="#444444", linewidth=0.8)
    axis.set_xlim(-reach, reach)
    axis.set_ylim(-0.6, shown.height - 0.4)
    axis.set_xlabel("lag (steps)\ngradient first < 0 < entropy first", fontsize=8)
    return drawing


def _order_words(row: Mapping[str, Any]) -> str:
    if row["r"] is None:
        return str(row["note"])
    control = ""
    if row["r_control"] is not None:
        control = f" ({row['r_matched']:.2f} at the others' lag, {row['r_control']:.2f} with their norms)"
    return f"{row['verdict']}: r {row['r']:.2f}{control}, n = {row['n']}"


def query_key_spectra(curves: polars.DataFrame, matrices: polars.DataFrame, labels: Labels) -> Figure:
    """Per cell with attention: SEC(1) of W_q^T W_k over steps per layer (band: heads), and singular values of the first
    and the last attention layer at the probed steps (mean of heads, lowest seed).
    """
    energy = first_recipe(curves.filter(polars.col("quantity") == "sec_1"))
    spectra = first_recipe(matrices.filter(polars.col("quantity") == "singular_values"))
    if energy.is_empty():
        return empty("no architecture of this study has attention whose projections are known")
    cells = energy.select("architecture", "task").unique(maintain_order=True)
    drawing, axes = style.figure(cells.height, 3, width=3.1, height=2.1)
    for row, (architecture, task) in enumerate(cells.iter_rows()):
        part = _of(energy, architecture, task)
        layers = sorted(part["layer"].unique().to_list())
        shades = matplotlib.colormaps["cividis"](np.linspace(0.05, 0.85, len(layers)))
        for layer, shade in zip(layers, shades, strict=True):
            line = part.filter(polars.col("layer") == layer).group_by("step").agg(
                polars.col("mean").mean(), polars.col("low").min(), polars.col("high").max()
            ).sort("step")  # fmt: skip
            axes[row, 0].fill_between(line["step"] + 1, line["low"], line["high"], color=shade, alpha=0.12, linewidth=0)
            axes[row, 0].plot(line["step"] + 1, line["mean"], color=shade, linewidth=1.4, label=f"layer {layer}")
        axes[row, 0].set_xscale("log")
        plain_log(axes[row, 0].xaxis)
        axes[row, 0].set_ylim(0, 1.04)
        axes[row, 0].set_ylabel(
            f"{labels.get(architecture, architecture)}, {labels.get(task, task)}\nSEC(1)", fontsize=8
        )
        axes[row, 0].legend(fontsize=6, ncols=2)
        if len(layers) == 1:
            axes[row, 2].axis("off")
        for column, layer in [(1, layers[0]), (2, layers[-1])][: len(layers)]:
            _spectrum(axes[row, column], _of(spectra, architecture, task).filter(polars.col("layer") == layer))
            axes[row, column].set_title(f"singular values, layer {layer}", fontsize=8, fontweight="normal")
    for column, name in enumerate(("step + 1", "index of the singular value", "index of the singular value")):
        axes[-1, column].set_xlabel(name)
    return drawing


def _spectrum(axis: Any, part: polars.DataFrame) -> None:
    steps = sorted(part["step"].unique().to_list())
    shades = matplotlib.colormaps["plasma"](np.linspace(0.0, 0.85, max(len(steps), 1)))
    for step, shade in zip(steps, shades, strict=False):
        values = np.array(part.filter(polars.col("step") == step)["values"].to_list()).mean(0)
        ends = step in (steps[0], steps[-1])
        axis.plot(
            np.arange(1, len(values) + 1), np.maximum(values, 1e-12), color=shade, linewidth=1.6 if ends else 0.7,
            label=f"step {step}" if ends else None,
        )  # fmt: skip
    axis.set_yscale("log")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(fontsize=6)


def mixing_maps(matrices: polars.DataFrame, labels: Labels) -> Figure:
    """Attention (or mixing) matrices of one head (channel) of the first and last layer at the stored steps, one task
    per architecture, lowest seed: rows are queries, columns keys.
    """
    maps = first_recipe(matrices.filter(polars.col("quantity").is_in(["attention_map", "mixing_map"])))
    if maps.is_empty():
        return empty("no run without warmup has stored maps")
    rows = []
    for architecture in _names(maps, "architecture"):
        part = maps.filter(polars.col("architecture") == architecture)
        part = part.filter(polars.col("task") == part["task"][0])
        layers = sorted(part["layer"].unique().to_list())
        rows += [(architecture, part, layer) for layer in dict.fromkeys([layers[0], layers[-1]])]
    steps = max((sorted(part["step"].unique().to_list()) for _, part, _ in rows), key=len)
    drawing, axes = style.figure(len(rows), len(steps), width=1.75, height=1.75)
    for row, (architecture, part, layer) in enumerate(rows):
        chosen = part.filter(polars.col("layer") == layer)
        chosen = chosen.filter(polars.col("module") == chosen["module"][0]).sort("head", "step")
        chosen = chosen.filter(polars.col("head") == chosen["head"][0])
        drawn = dict(chosen.select("step", "values").iter_rows())
        for column, step in enumerate(steps):
            axis = axes[row, column]
            axis.set_xticks([])
            axis.set_yticks([])
            if step not in drawn:
                axis.axis("off")
                continue
            matrix = np.array(drawn[step])
            size = round(len(matrix) ** 0.5)
            axis.imshow(matrix.reshape(size, size), cmap="magma", norm=PowerNorm(0.5, 0.0), interpolation="none")
            axis.grid(False)
            axis.spines[["left", "bottom"]].set_visible(False)
            if row == 0:
                axis.set_title(f"step {step}", fontsize=8)
            if column == 0:
                axis.set_ylabel(f"{labels.get(architecture, architecture)}\nlayer {layer}", fontsize=8)
    return drawing


def spike_sources(sources: polars.DataFrame, labels: Labels) -> Figure:
    """Per cell, the share of no-warmup runs whose gradient spike is largest in each layer group, and when it comes."""
    shown = first_recipe(sources)
    if shown.is_empty():
        return empty("no run without warmup has a gradient spike at a known step")
    cells = shown.select("architecture", "task").unique(maintain_order=True)
    drawing, axes = style.figure(1, 1, width=9.0, height=0.9 + 0.34 * cells.height)
    axis = axes[0, 0]
    for height, (architecture, task) in enumerate(reversed(list(cells.iter_rows()))):
        left = 0.0
        for row in _of(shown, architecture, task).iter_rows(named=True):
            axis.barh(height, row["share"], left=left, height=0.72, color=kind_colour(row["group"]), edgecolor="white")
            span = f"{row['earliest']}" if row["earliest"] == row["latest"] else f"{row['earliest']}-{row['latest']}"
            words = f"{row['group']}, step {span}"
            if row["share"] < 0.3:
                words = f"{row['group']} {span}"
            axis.text(left + row["share"] / 2, height, words, ha="center", va="center", fontsize=7, color="white")
            left += row["share"]
    names = [f"{labels.get(a, a)}, {labels.get(t, t)}" for a, t in reversed(list(cells.iter_rows()))]
    axis.set_yticks(range(cells.height), names, fontsize=8)
    axis.set_xlim(0, 1)
    axis.grid(False)
    axis.set_xlabel("share of runs without warmup whose largest gradient norm lies mostly in this layer group")
    for kind, colour in KINDS.items():
        axis.plot([], [], "s", color=colour, label=kind.replace("_", "-"))
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(KINDS), fontsize=8)
    return drawing


def kind_colour(group: str) -> str:
    """Colour of a layer group by its kind; `final_norm` counts as a norm."""
    return next((colour for kind, colour in KINDS.items() if group.endswith(kind)), OTHER_KIND)


def empty(why: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    drawing, axes = style.figure(1, 1, width=6.0, height=1.2)
    axes[0, 0].axis("off")
    axes[0, 0].text(0.5, 0.5, why, ha="center", va="center", color="#555555")
    return drawing


def plain_log(axis: Any) -> None:
    """Ticks of a log axis as plain numbers, at 1, 2 and 5 where it spans few decades."""
    low, high = sorted(axis.get_view_interval())
    few = low > 0 and high / low < 200
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _of(table: polars.DataFrame, architecture: str, task: str) -> polars.DataFrame:
    return table.filter(polars.col("architecture") == architecture, polars.col("task") == task)


def _names(table: polars.DataFrame, column: str) -> list[str]:
    return list(dict.fromkeys(table[column].to_list()))
