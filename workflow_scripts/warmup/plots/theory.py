"""Figures of the valley-river model, one column per landscape, and of plateau heights in real trainings.

In: the tables of warmup.theory.study (and of warmup.theory.plateau_heights) and labels. Out: matplotlib figures.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars
from matplotlib.figure import Figure

from warmup.plots import style
from warmup.plots.style import Labels, Tables

GREY, STRONG, FINAL = "#8c8c8c", style.PALETTE[1], style.PALETTE[0]
RATE = "plateau / final learning rate"
PANEL = 2.75
"""Width of a landscape's column, inches."""


def figures(tables: Tables, labels: Labels) -> dict[str, Figure]:
    """All figures of the model by name."""
    makers: dict[str, Callable[[Tables, Labels], Figure]] = {
        "landscapes": landscapes,
        "amplitudes": amplitudes,
        "quenches": quenches,
        "decay_map": decay_map,
        "slowest_decays": slowest_decays,
        "simulation": simulation,
    }
    drawn = {name: make(tables, labels) for name, make in makers.items()}
    for drawing in drawn.values():
        for axis in drawing.axes:
            axis.minorticks_off()  # half of the drawing time, and no reader misses them
    return drawn


def landscapes(tables: Tables, labels: Labels) -> Figure:
    """Height and free energy; laws at rest at the final rate and at a plateau; the slowest mode."""
    names, drawing, axes = _columns(tables, labels, rows=3, height=1.9)
    for column, name in enumerate(names):
        part = tables["profiles"].filter(landscape=name)
        y, plateau = part["y"], part["plateau"][0]
        top, middle, bottom = axes[:, column]
        final = _overview(tables, name)["final"]
        law = part["law_plateau"].to_numpy()
        shown = law > 1e-3 * law.max()
        c = part["c"].to_numpy()
        free = part["free_energy"].to_numpy()
        free = free - free[shown].min()
        top.plot(y, c - c[shown].min(), color=GREY, label="c(y)")
        top.plot(y, free, color="black", label="F(y) at the final rate")
        reach = max(free[shown].max(), (c - c[shown].min())[shown].max())
        top.set_ylim(-0.05 * reach, 1.05 * reach)
        middle.fill_between(y, part["law_final"], color=FINAL, alpha=0.25, linewidth=0)
        middle.plot(y, part["law_final"], color=FINAL, label="final rate")
        middle.plot(y, part["law_plateau"], color=STRONG, label=f"plateau × {plateau / final:.3g}")
        bottom.axhline(0, color=GREY, linewidth=0.8)
        bottom.plot(y, part["slow_mode"], color="black")
        heights = part["slow_mode"].to_numpy()[shown]
        bottom.set_ylim(heights.min() - 0.1 * np.ptp(heights), heights.max() + 0.1 * np.ptp(heights))
        for axis in (top, middle, bottom):
            axis.set_xlim(y.filter(polars.Series(shown)).min(), y.filter(polars.Series(shown)).max())
        bottom.set_xlabel("y, along the river")
        middle.legend(fontsize=7)
    axes[0, 0].legend(fontsize=7)
    for row, text in enumerate(("height", "law at rest, per unit of y", "slowest mode u₂(y)")):
        axes[row, 0].set_ylabel(text)
    return drawing


def amplitudes(tables: Tables, labels: Labels) -> Figure:
    """a_2 against the plateau: strong points marked, ranges of the weak effect shaded."""
    names, drawing, axes = _columns(tables, labels, rows=1, height=2.7)
    for name, axis in zip(names, axes[0], strict=True):
        part, row = tables["amplitudes"].filter(landscape=name), _overview(tables, name)
        axis.axhline(0, color=GREY, linewidth=0.8)
        axis.axvline(1, color=FINAL, linewidth=1, linestyle=":")
        axis.plot(part["ratio"], part["a_2"], color="black")
        for low, high in zip(row["weak_from"], row["weak_to"], strict=True):
            axis.axvspan(low / row["final"], high / row["final"], color=STRONG, alpha=0.12, linewidth=0)
        points = tables["strong_points"].filter(landscape=name)
        for point in points.iter_rows(named=True):
            filled = STRONG if point["established"] else "white"
            axis.plot(point["ratio"], 0, "o", color=STRONG, markerfacecolor=filled, zorder=3)
            error = point["refinement_error"] + point["widening_error"]
            text = f"× {point['ratio']:.4f}\nerror {error:.0e}" if point["established"] else "not established"
            axis.annotate(text, (point["ratio"], 0), xytext=(4, 5), textcoords="offset points", fontsize=7)
        if points.is_empty():
            said = "no strong point" + ("" if row["weak_from"] else ", no weak effect")
            rising = part["a_2"][-1] > 0
            place = {"y": 0.94, "va": "top"} if rising else {"y": 0.06, "va": "bottom"}
            axis.text(0.04, s=said, transform=axis.transAxes, fontsize=7.5, color=GREY, **place)
        axis.set_xscale("log")
        _plain_log(axis, (0.5, 1, 2, 5, 10))
        axis.set_xlabel(RATE)
    axes[0, 0].set_ylabel("amplitude a₂ of the slowest mode")
    return drawing


def quenches(tables: Tables, labels: Labels) -> Figure:
    """Distance to the final law against time after a quench, from several plateaus."""
    names, drawing, axes = _columns(tables, labels, rows=2, height=2.4)
    for column, name in enumerate(names):
        row = _overview(tables, name)
        curves = tables["quenches"].filter(landscape=name).partition_by("plateau", maintain_order=True)
        ordinary = iter(("#9ecae1", "#4292c6", "#08519c", "#08306b", "#6a51a3", "#3f007d"))
        for curve in curves:
            ratio, best = curve["ratio"][0], row["best"] is not None and curve["plateau"][0] == row["best"]
            colour = STRONG if best else next(ordinary, GREY)
            word = "" if not best else (" strong" if row["verdict"] == "strong" else " weakest")
            for axis, quantity in zip(axes[:, column], ("total_variation", "excess_loss"), strict=True):
                late = curve.filter(polars.col("slow_times") > 1e-4)
                size = late[quantity].abs()
                axis.loglog(
                    late["slow_times"],
                    size.clip(1e-7),
                    color=colour,
                    linewidth=1.8 if best else 1.3,
                    label=f"× {ratio:.3g}{word}",
                )
        for axis in axes[:, column]:
            axis.axvline(row["rate_2"] / row["rate_3"], color=GREY, linewidth=0.8, linestyle=":")
            axis.set_ylim(1e-6, 3)
        axes[0, column].legend(fontsize=7, title="plateau", title_fontsize=7, loc="lower left")
        axes[1, column].set_xlabel("time after the quench · λ₂")
    axes[0, 0].set_ylabel("total variation distance")
    axes[1, 0].set_ylabel("|excess loss|")
    return drawing


def decay_map(tables: Tables, labels: Labels) -> Figure:
    """Distance a fixed time after the plateau, by plateau and length of the decay; the best plateau of each length."""
    names, drawing, axes = _columns(tables, labels, rows=1, height=2.8)
    everything = np.log10(np.maximum(tables["decay_map"]["total_variation"].to_numpy(), 1e-6))
    limits = {"vmin": everything.min(), "vmax": everything.max()}
    for name, axis in zip(names, axes[0], strict=True):
        part, row = tables["decay_map"].filter(landscape=name), _overview(tables, name)
        ratios, shares = part["ratio"].unique().sort().to_numpy(), part["share"].unique().sort().to_numpy()
        values = part.sort("ratio", "share")["total_variation"].to_numpy().reshape(len(ratios), len(shares))
        mesh = axis.pcolormesh(
            shares,
            ratios,
            np.log10(np.maximum(values, 1e-6)),
            cmap="viridis",
            shading="nearest",
            rasterized=True,
            **limits,
        )
        hotter = _local_minima(values)
        rows, lengths = np.nonzero(hotter)
        axis.plot(shares[lengths], ratios[rows], "o", color="white", markersize=3)
        axis.plot(shares[lengths], ratios[rows], "o", color=STRONG, markersize=2)
        if row["strong_point"] is not None:
            axis.axhline(row["strong_point"] / row["final"], color="white", linestyle="--", linewidth=1)
        axis.set_xscale("log")
        axis.set_yscale("log")
        _plain_log(axis.yaxis, (1, 2, 5, 10))
        axis.grid(False)
        axis.set_xlabel("decay / time after plateau")
    axes[0, 0].set_ylabel(RATE)
    drawing.colorbar(mesh, ax=list(axes[0]), label="log₁₀ total variation at the end", shrink=0.9, pad=0.01)
    return drawing


def slowest_decays(tables: Tables, labels: Labels) -> Figure:
    """Share of a quench's advantage that a decay of given length and shape keeps."""
    names, drawing, axes = _columns(tables, labels, rows=1, height=2.8)
    tails = tables["slowest_decays"]["tail"].unique(maintain_order=True).to_list()
    colours = style.colours(tails)
    for name, axis in zip(names, axes[0], strict=True):
        row, part = _overview(tables, name), tables["decay_curves"].filter(landscape=name)
        if part.is_empty():
            axis.text(0.5, 0.5, "no advantage to keep", transform=axis.transAxes, ha="center", fontsize=8, color=GREY)
            axis.set_axis_off()
            continue
        share = tables["slowest_decays"].filter(landscape=name)["share_kept"][0]
        for tail in tails:
            curve = part.filter(tail=tail)
            axis.plot(curve["slow_times"], curve["kept"], color=colours[tail], label=tail)
        axis.axhline(share, color=GREY, linewidth=0.8, linestyle="--")
        for place, text in ((row["rate_2"] / row["rate_3"], "1/λ₃"), (1.0, "1/λ₂")):
            axis.axvline(place, color=GREY, linewidth=0.8, linestyle=":")
            axis.text(place, 1.13, text, ha="center", fontsize=7, color=GREY)
        axis.set_xscale("log")
        axis.set_ylim(-0.6, 1.1)
        axis.set_xlabel("length of the decay · λ₂")
        axis.set_title(axis.get_title(), pad=14)
    _legend_once(axes[0], title="tail")
    axes[0, 0].set_ylabel("share of the advantage kept")
    return drawing


def simulation(tables: Tables, labels: Labels) -> Figure:
    """Mean loss of walkers in (x, y) against the reduced model, and the worst deviation at each separation."""
    names, drawing, axes = _columns(tables, labels, rows=2, height=2.4)
    for column, name in enumerate(names):
        part = tables["simulation"].filter(landscape=name)
        separations = sorted(part["separation"].unique(), reverse=True)
        upper, lower = axes[:, column]
        for separation, colour in ((separations[0], FINAL), (separations[-1], STRONG)):
            if separation == separations[-1] and len(separations) == 1 and colour == STRONG:
                continue
            for curve in part.filter(separation=separation, quantity="loss").partition_by("plateau"):
                upper.errorbar(
                    curve["slow_times"],
                    curve["simulated"],
                    curve["half_width"],
                    fmt="o",
                    markersize=3,
                    color=colour,
                    linewidth=0.8,
                )
                upper.plot(curve["slow_times"], curve["reduced"], color="black", linewidth=1, zorder=0)
            upper.plot([], [], "o", markersize=3, color=colour, label=f"walkers, separation {separation:g}")
        upper.plot([], [], color="black", linewidth=1, label="reduced model")
        upper.legend(fontsize=6.5)
        upper.set_xlabel("time after the quench · λ₂")
        worst = part.with_columns(
            ((polars.col("simulated") - polars.col("reduced")).abs() / polars.col("half_width")).alias("size")
        )
        for quantity, colour in style.colours(["slow_mode", "loss", "above"]).items():
            curve = (
                worst.filter(quantity=quantity).group_by("separation").agg(polars.col("size").max()).sort("separation")
            )
            lower.loglog(curve["separation"], curve["size"], "o-", markersize=4, color=colour, label=quantity)
        lower.set_ylim(0.03, max(5, 2 * float(worst["size"].to_numpy().max())))
        lower.axhline(1, color=GREY, linewidth=1, linestyle="--")
        lower.set_xlabel("separation: slowest valley rate / λ₂")
    axes[1, 0].legend(fontsize=7)
    axes[0, 0].set_ylabel("mean c(y)")
    axes[1, 0].set_ylabel("worst deviation / half-width")
    return drawing


def plateau_heights(arms: polars.DataFrame, differences: polars.DataFrame, labels: Labels) -> Figure:
    """Loss after the same decay against the height of the plateau: seeds as points, means, one line per decay.

    A filled marker: this height is shown lower than a cooler one (simultaneous limits, paired by seed).
    """
    tasks = arms["task"].unique(maintain_order=True).to_list()
    architectures = arms["architecture"].unique(maintain_order=True).to_list()
    drawing, axes = style.figure(len(tasks), len(architectures), width=2.7, height=2.3, sharex=True)
    decays = arms.select("decay", "warmup").unique(maintain_order=True).rows()
    colours = style.colours([f"{decay} (warmup {warmup:g})" for decay, warmup in decays])
    for row, task in enumerate(tasks):
        for column, architecture in enumerate(architectures):
            axis = axes[row, column]
            for (decay, warmup), (name, colour) in zip(decays, colours.items(), strict=True):
                here = {"architecture": architecture, "task": task, "decay": decay, "warmup": warmup}
                part = arms.filter(**here).sort("height")
                for arm in part.iter_rows(named=True):
                    axis.plot([arm["height"]] * len(arm["values"]), arm["values"], ".", color=colour, alpha=0.5)
                axis.plot(part["height"], part["mean"], color=colour, label=name)
                better = differences.filter(verdict="hotter lower", **here)["hotter"].unique().to_list()
                shown = part.filter(polars.col("height").is_in(better))
                axis.plot(shown["height"], shown["mean"], "o", color=colour)
            axis.set_xscale("log")
            _plain_log(axis, sorted(arms["height"].unique()))
            if row == 0:
                axis.set_title(labels.get(architecture, architecture))
            if row == len(tasks) - 1:
                axis.set_xlabel("plateau / peak learning rate")
        axes[row, 0].set_ylabel(f"{labels.get(task, task)}\nloss after the decay")
    handles, names = axes[0, 0].get_legend_handles_labels()
    drawing.legend(handles, names, loc="outside lower center", title="decay, share of training", fontsize=7, ncols=2)
    return drawing


def _columns(tables: Tables, labels: Labels, *, rows: int, height: float) -> tuple[list[str], Figure, Any]:
    names = tables["landscapes"]["landscape"].to_list()
    drawing, axes = style.figure(rows, len(names), width=PANEL, height=height)
    for name, axis in zip(names, axes[0], strict=True):
        axis.set_title(labels.get(name, name))
    return names, drawing, axes


def _overview(tables: Tables, name: str) -> dict[str, Any]:
    return tables["landscapes"].row(by_predicate=polars.col("landscape") == name, named=True)


def _plain_log(axis: Any, ticks: Any) -> None:
    """Ticks at the given values, written as they are."""
    axis = getattr(axis, "xaxis", axis)
    axis.set_ticks(list(ticks), [f"{tick:g}" for tick in ticks])
    axis.set_ticks([], minor=True)


def _local_minima(values: Any) -> Any:
    """Marks the interior minima over plateaus (axis 0) of each column of `values`."""
    marked = np.zeros(values.shape, dtype=bool)
    marked[1:-1] = (values[1:-1] < values[:-2]) & (values[1:-1] < values[2:])
    return marked


def _legend_once(axes: Any, title: str) -> None:
    """One legend, in the first of `axes` that has lines to name."""
    for axis in axes:
        handles, _ = axis.get_legend_handles_labels()
        if handles:
            axis.legend(fontsize=7, title=title, title_fontsize=7)
            return
