"""Figures that set recipes against each other: losses, outcomes with paired differences, tau, AdamW^2's implied warmup.

In: the tables runs, arms, losses, caps, and `words` (labels of names, unit of each task's loss, the outcome). Out:
matplotlib figures by name. Nothing is estimated here.
"""

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import polars
from matplotlib.figure import Figure

from warmup.plots import style
from warmup.plots.mechanism import empty, plain_log
from warmup.plots.style import Tables, Words
from warmup.statistics.base.outcomes import with_outcome

VERDICTS = {
    "better": "#1b7837",
    "worse": "#b2182b",
    "inconclusive": "#7f7f7f",
    "reference": "#222222",
    "cannot say": "#bbbbbb",
}
ADAMW2 = "adamw2"


def figures(tables: Tables, words: Words) -> dict[str, Figure]:
    """All figures by name."""
    with matplotlib.rc_context(style.BASE):
        return {
            "recipe_losses": recipe_losses(tables["losses"], tables["arms"], words),
            "recipe_outcomes": recipe_outcomes(tables["arms"], tables["runs"], words),
            "tau_sensitivity": tau_sensitivity(tables["arms"], tables["runs"], words),
            "implied_warmup": implied_warmup(tables["caps"], tables["arms"], tables["runs"], words),
        }


def arm_label(recipe: str, warmup: float, words: Words, several: bool = True) -> str:
    """A recipe with its warmup, where the study has several of them for it."""
    name = words["labels"].get(recipe, recipe)
    return f"{name}, warmup {100 * warmup:g} %" if several else name


def recipe_losses(losses: polars.DataFrame, arms: polars.DataFrame, words: Words) -> Figure:
    """Validation loss over steps per architecture and task: one line per arm, mean over seeds, seeds faint."""
    places = _places(arms)
    if losses.is_empty():
        return empty("no run has validation losses")
    several = _several(arms)
    colours = _arm_colours(arms)
    columns = min(3, len(places))
    rows = -(-len(places) // columns)
    drawing, axes = style.figure(rows, columns, width=3.3, height=2.7)
    for index, (architecture, task) in enumerate(places):
        axis = axes[index // columns, index % columns]
        part = _of(losses, architecture, task).filter(
            polars.col("kind") == "validation", polars.col("value").is_finite()
        )
        for (recipe, warmup), colour in colours.items():
            arm = part.filter(polars.col("recipe") == recipe, polars.col("warmup") == warmup).sort("step")
            for _, run in arm.group_by("seed", maintain_order=True):
                axis.plot(run["step"], run["value"], color=colour, linewidth=0.4, alpha=0.35)
            mean = arm.group_by("step").agg(polars.col("value").mean()).sort("step")
            axis.plot(mean["step"], mean["value"], color=colour, linewidth=1.5)
        axis.set_title(_place_label(architecture, task, words), fontsize=9, loc="left")
        axis.set_xlabel("step")
        axis.set_ylabel(f"validation loss ({words['units'].get(task, '')})", fontsize=8)
        _zoom(axis, part)
    for spare in axes.flat[len(places) :]:
        spare.axis("off")
    handles = [
        axes[0, 0].plot([], [], color=colour, label=arm_label(recipe, warmup, words, recipe in several))[0]
        for (recipe, warmup), colour in colours.items()
    ]
    drawing.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=7)
    return drawing


def recipe_outcomes(arms: polars.DataFrame, runs: polars.DataFrame, words: Words) -> Figure:
    """Per architecture and task: outcome of every arm (seeds as points, mean as bar), and its paired difference to the
    first recipe without warmup and to the same at its best warmup, with intervals.
    """
    places = _places(arms)
    several = _several(arms)
    outcomes = with_outcome(runs, words["outcome"])
    families = list(dict.fromkeys(arms["family"].to_list()))
    tall = max(_of(arms, *place).select("recipe", "warmup").unique().height for place in places)
    drawing, axes = style.figure(
        len(places),
        1 + len(families),
        width=3.1,
        height=0.8 + 0.21 * tall,
        gridspec_kw={"width_ratios": [1.2, 1, 1][: 1 + len(families)]},
    )
    for row, (architecture, task) in enumerate(places):
        part = _of(arms, architecture, task)
        listed = part.filter(polars.col("family") == families[0])
        names = [
            arm_label(line["recipe"], line["warmup"], words, line["recipe"] in several)
            for line in listed.iter_rows(named=True)
        ]
        heights = {
            (line["recipe"], line["warmup"]): len(names) - 1 - place
            for place, line in enumerate(listed.iter_rows(named=True))
        }
        _seeds(axes[row, 0], _of(outcomes, architecture, task), listed, heights)
        axes[row, 0].set_title(_place_label(architecture, task, words), fontsize=9, loc="left")
        axes[row, 0].set_xlabel(f"{words['outcome'].replace('_', ' ')} ({words['units'].get(task, '')})", fontsize=8)
        axes[row, 0].set_yticks(list(heights.values()), names, fontsize=7)
        for column, family in enumerate(families, start=1):
            compared = part.filter(polars.col("family") == family)
            _differences(axes[row, column], compared, heights)
            against = compared.row(0, named=True)
            if against["reference_recipe"] is not None:
                label = arm_label(against["reference_recipe"], against["reference_warmup"], words)
                axes[row, column].set_title(f"minus {label}", fontsize=8, fontweight="normal", loc="left")
            axes[row, column].set_xlabel("paired difference (left is better)", fontsize=8)
            axes[row, column].set_yticks(list(heights.values()), [])
        for axis in axes[row]:
            axis.set_ylim(-0.6, len(names) - 0.4)
    return drawing


def _seeds(axis: Any, outcomes: polars.DataFrame, arms: polars.DataFrame, heights: Mapping[Any, int]) -> None:
    for line in arms.iter_rows(named=True):
        height = heights[line["recipe"], line["warmup"]]
        own = outcomes.filter(polars.col("recipe") == line["recipe"], polars.col("warmup") == line["warmup"])
        diverged = own["status"] == "diverged"
        for bad, mark in ((False, "o"), (True, "x")):
            values = own.filter(diverged == bad)["outcome"].drop_nulls()
            axis.plot(values, [height] * len(values), mark, color="#555555", markersize=3.5, alpha=0.7)
        if line["mean"] is not None:
            axis.plot([line["mean"]] * 2, [height - 0.33, height + 0.33], color="#0072b2", linewidth=2)


def _differences(axis: Any, arms: polars.DataFrame, heights: Mapping[Any, int]) -> None:
    axis.axvline(0, color="#444444", linewidth=0.8)
    for line in arms.iter_rows(named=True):
        height, colour = heights[line["recipe"], line["warmup"]], VERDICTS.get(line["verdict"], "#000000")
        if line["verdict"] == "reference":
            axis.plot(0, height, "D", color=colour, markersize=4)
        elif line["difference"] is None:
            axis.text(0, height, " cannot say", va="center", fontsize=7, color="#777777")
        else:
            axis.plot([line["low"], line["high"]], [height] * 2, color=colour, linewidth=1.4)
            axis.plot(line["difference"], height, "o", color=colour, markersize=4)


def tau_sensitivity(arms: polars.DataFrame, runs: polars.DataFrame, words: Words) -> Figure:
    """Per architecture and task: outcome of AdamW^2 without warmup over tau (seeds as points), the first recipe with no
    warmup and with its best as lines.
    """
    swept = arms.filter(polars.col("optimizer") == ADAMW2)
    places = _places(swept)
    if not places:
        return empty("this study has no recipe with AdamW^2")
    outcomes = with_outcome(runs, words["outcome"])
    columns = min(3, len(places))
    drawing, axes = style.figure(-(-len(places) // columns), columns, width=3.3, height=2.6)
    for index, (architecture, task) in enumerate(places):
        axis = axes[index // columns, index % columns]
        taus = dict(_of(swept, architecture, task).select("recipe", "tau").iter_rows())
        own = _of(outcomes, architecture, task)
        points = own.filter(polars.col("recipe").is_in(list(taus))).with_columns(
            polars.col("recipe").replace_strict(taus, return_dtype=polars.Float64).alias("tau")
        )
        axis.plot(points["tau"], points["outcome"], "o", color="#0072b2", markersize=3.5, alpha=0.6)
        mean = points.group_by("tau").agg(polars.col("outcome").mean()).sort("tau")
        axis.plot(mean["tau"], mean["outcome"], color="#0072b2", linewidth=1.5, label="AdamW^2, no warmup")
        for family, shade, dash in (("without warmup", "#d55e00", "--"), ("at its best warmup", "#009e73", ":")):
            line = _of(arms, architecture, task).filter(
                polars.col("family") == family, polars.col("verdict") == "reference"
            )
            if line.height and line["mean"][0] is not None:
                label = arm_label(line["recipe"][0], line["warmup"][0], words)
                axis.axhline(line["mean"][0], color=shade, linestyle=dash, label=label)
        axis.set_xscale("log")
        axis.set_xlabel("tau")
        axis.set_ylabel(f"{words['outcome'].replace('_', ' ')}\n({words['units'].get(task, '')})", fontsize=8)
        axis.set_title(_place_label(architecture, task, words), fontsize=9, loc="left")
        axis.legend(fontsize=6)
    for spare in axes.flat[len(places) :]:
        spare.axis("off")
    return drawing


def implied_warmup(caps: polars.DataFrame, arms: polars.DataFrame, runs: polars.DataFrame, words: Words) -> Figure:
    """Per architecture and task: a_t / lr_t over steps (median of matrices and seeds, band: quartiles) for each tau,
    recorded by AdamW^2 or implied along a run without it, and the best linear warmup of the first recipe.
    """
    if caps.is_empty():
        return empty("no run without warmup has probed spectral norms")
    recorded = caps.filter(polars.col("source") == "recorded")
    shown = recorded if recorded.height else caps.filter(polars.col("recipe") == caps["recipe"][0])
    places = [place for place in _places(arms) if not _of(shown, *place).is_empty()]
    columns = min(3, len(places))
    drawing, axes = style.figure(-(-len(places) // columns), columns, width=3.3, height=2.6)
    taus = sorted(shown["tau"].unique().to_list())
    shades = dict(zip(taus, matplotlib.colormaps["viridis"](np.linspace(0.0, 0.85, len(taus))), strict=True))
    for index, (architecture, task) in enumerate(places):
        axis = axes[index // columns, index % columns]
        for tau in taus:
            part = _of(shown, architecture, task).filter(polars.col("tau") == tau)
            if part.is_empty():
                continue
            curve = part.group_by("step").agg(polars.col("median", "low", "high").median()).sort("step")
            axis.fill_between(
                curve["step"] + 1, curve["low"], curve["high"], color=shades[tau], alpha=0.15, linewidth=0
            )
            axis.plot(curve["step"] + 1, curve["median"], color=shades[tau], linewidth=1.5, label=f"tau {tau:g}")
        _linear(axis, arms, runs, architecture, task)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_ylim(top=1.4)
        for direction in (axis.xaxis, axis.yaxis):
            plain_log(direction)
        axis.set_xlabel("step + 1")
        axis.set_ylabel("a_t / lr_t" if recorded.height else "a_t / lr_t, implied")
        axis.set_title(_place_label(architecture, task, words), fontsize=9, loc="left")
        axis.legend(fontsize=6, loc="lower right")
    for spare in axes.flat[len(places) :]:
        spare.axis("off")
    return drawing


def _linear(axis: Any, arms: polars.DataFrame, runs: polars.DataFrame, architecture: str, task: str) -> None:
    best = _of(arms, architecture, task).filter(
        polars.col("family") == "at its best warmup", polars.col("verdict") == "reference"
    )
    if best.is_empty():
        return
    own = _of(runs, architecture, task).filter(
        polars.col("recipe") == best["recipe"][0], polars.col("warmup") == best["warmup"][0]
    )
    length, steps = int(own["warmup_steps"][0]), int(own["steps"][0])
    ramp = np.minimum(1.0, (np.arange(steps) + 1) / max(length, 1))
    label = f"best linear warmup: {length} steps" if length else "best linear warmup: none"
    axis.plot(np.arange(steps) + 1, ramp, color="#d55e00", linestyle="--", linewidth=1.2, label=label)


def _arm_colours(arms: polars.DataFrame) -> dict[tuple[str, float], Any]:
    """Arms of AdamW^2 in shades of one hue by tau, all others in colours of their own."""
    listed = arms.select("recipe", "warmup", "optimizer", "tau").unique(maintain_order=True)
    swept = listed.filter(polars.col("optimizer") == ADAMW2).sort("tau")
    shades = matplotlib.colormaps["Blues"](np.linspace(0.35, 0.95, max(1, swept.height)))
    others = [(row[0], row[1]) for row in listed.iter_rows() if row[2] != ADAMW2]
    palette = [colour for colour in style.PALETTE if colour not in ("#0072b2", "#56b4e9")]
    colours: dict[tuple[str, float], Any] = {arm: palette[index % len(palette)] for index, arm in enumerate(others)}
    colours |= {(row[0], row[1]): shade for row, shade in zip(swept.iter_rows(), shades, strict=False)}
    return colours


def _zoom(axis: Any, part: polars.DataFrame) -> None:
    """Leave the first steps' fall out of sight where it would flatten all that follows."""
    if part.is_empty():
        return
    late = part.filter(polars.col("step") >= 0.25 * polars.col("step").max())["value"]
    low, high = float(late.min()), float(late.quantile(0.97))  # type: ignore[arg-type]
    axis.set_ylim(low - 0.06 * (high - low + 1e-9), high + 0.25 * (high - low + 1e-9))


def _several(arms: polars.DataFrame) -> set[str]:
    counts = arms.select("recipe", "warmup").unique().group_by("recipe").len()
    return set(counts.filter(polars.col("len") > 1)["recipe"].to_list())


def _places(table: polars.DataFrame) -> list[tuple[str, str]]:
    return list(table.select("architecture", "task").unique(maintain_order=True).iter_rows())


def _place_label(architecture: str, task: str, words: Words) -> str:
    return f"{words['labels'].get(architecture, architecture)}, {words['labels'].get(task, task)}"


def _of(table: polars.DataFrame, architecture: str, task: str) -> polars.DataFrame:
    return table.filter(polars.col("architecture") == architecture, polars.col("task") == task)


STATE_WORDS = {"kept": "all kept", "reset": "state lost", "moments_reset": "moments lost, count kept"}
CONTRAST_WORDS = {
    "rewarm": "{state}: rewarmed {warmup:g} %, less not",
    "loss": "{state}, not rewarmed, less all kept",
    "recovered": "{state}, rewarmed {warmup:g} %, less all kept",
}
VERDICT_COLOURS = {
    **dict.fromkeys(("helps", "gains", "made up for"), VERDICTS["better"]),
    **dict.fromkeys(("harms", "costs", "not made up for"), VERDICTS["worse"]),
    "no matter": VERDICTS["reference"],
}


def rewarming(table: polars.DataFrame, words: Words) -> Figure:
    """Contrasts between branches of one run, one panel per architecture and task: dots with limits, margin shaded."""
    if table.is_empty():
        return empty("no run of this study continues another one with and without another warmup")
    places = table.select("architecture", "task").unique(maintain_order=True).rows()
    drawing, axes = style.figure(-(-len(places) // 2), min(2, len(places)), width=4.6, height=2.6)
    for axis, (architecture, task) in zip(axes.flat, places, strict=False):
        part = table.filter(architecture=architecture, task=task)
        axis.axvspan(-part["margin"][0], part["margin"][0], color="#eeeeee", zorder=0)
        axis.axvline(0, color="#999999", linewidth=0.7)
        for height, row in enumerate(part.reverse().iter_rows(named=True)):
            colour = VERDICT_COLOURS.get(row["verdict"], VERDICTS["inconclusive"])
            if row["low"] is not None:
                axis.plot([row["low"], row["high"]], [height, height], color=colour, linewidth=1.4)
            if row["difference"] is not None:
                axis.plot(row["difference"], height, "o", color=colour, markersize=4)
        names = [
            CONTRAST_WORDS[row["kind"]].format(state=STATE_WORDS[row["optimizer"]], warmup=100 * row["warmup"])
            for row in part.reverse().iter_rows(named=True)
        ]
        axis.set_yticks(range(len(names)), names, fontsize=7)
        axis.set_title(_place_label(architecture, task, words), fontsize=9, loc="left")
        axis.set_xlabel(f"difference ({words['units'].get(task, '')}), below 0: lower loss", fontsize=8)
    for spare in list(axes.flat)[len(places) :]:
        spare.axis("off")
    return drawing
