"""The main figure for a reader who hovers: loss against warmup, every seed, with tooltips, one panel per task.

In: as plots/effects.py. Out: one Altair chart.
"""

from typing import Any

import altair
import polars

from warmup.plots import style
from warmup.plots.effects import CELL, Tables, Words, percent
from warmup.statistics.base.outcomes import with_outcome


def chart(tables: Tables, words: Words) -> altair.VConcatChart:
    """One panel per task: seeds as points, means as lines; the legend picks architectures, hovering tells the run."""
    frame = _frame(tables, words)
    names = list(dict.fromkeys(frame["name"]))
    scale = altair.Scale(domain=names, range=list(style.colours(names).values()))
    picked = altair.selection_point(name="picked", fields=["name"], bind="legend")
    colour = altair.Color("name:N", scale=scale, title="architecture (click to pick)")
    panels = [_panel(frame.filter(task=task), task, colour, picked, words) for task in dict.fromkeys(frame["task"])]
    return (
        altair.vconcat(panels[0].add_params(picked), *panels[1:])
        .resolve_scale(color="shared")
        .configure_axis(labelFontSize=11, titleFontSize=12)
        .configure_legend(labelFontSize=12, titleFontSize=12)
    )


def _frame(tables: Tables, words: Words) -> polars.DataFrame:
    """Runs with the regret of their arm and its place in the plateau sets, everything a tooltip says."""
    regrets = tables["regrets"].select(*CELL, "warmup", "mean", "regret", "regret_low", "regret_high", "not_excluded")
    runs = with_outcome(tables["runs"], words["outcome"]).join(
        regrets, on=[*CELL, "warmup"], how="left", maintain_order="left"
    )
    several = runs["recipe"].n_unique() > 1
    return runs.with_columns(
        polars.Series(
            "name",
            [
                _name(architecture, recipe, several, words)
                for architecture, recipe in zip(runs["architecture"], runs["recipe"], strict=True)
            ],
        ),
        polars.Series("per_cent", [percent(value) for value in runs["warmup"]]),
        polars.when(polars.col("not_excluded"))
        .then(polars.lit("yes"))
        .when(polars.col("not_excluded").is_null())
        .then(polars.lit("cannot say"))
        .otherwise(polars.lit("no"))
        .alias("plateau"),
    )


def _name(architecture: str, recipe: str, several: bool, words: Words) -> str:
    labels = words["labels"]
    return str(labels.get(architecture, architecture)) + (f", {labels.get(recipe, recipe)}" if several else "")


def _panel(part: polars.DataFrame, task: str, colour: Any, picked: Any, words: Words) -> Any:
    columns = [
        "name",
        "per_cent",
        "seed",
        "outcome",
        "mean",
        "regret",
        "regret_low",
        "regret_high",
        "plateau",
        "status",
    ]
    table = part.select(*columns, "warmup_steps", "best_step", "metric", "best_metric")
    order = list(dict.fromkeys(part.sort("warmup")["per_cent"]))
    base = altair.Chart(altair.Data(values=table.to_dicts())).encode(
        x=altair.X("per_cent:O", sort=order, title="warmup (% of training)", axis=altair.Axis(labelAngle=0)),
        color=colour,
        opacity=altair.condition(picked, altair.value(0.9), altair.value(0.06)),
    )
    loss = altair.Y("outcome:Q", scale=altair.Scale(zero=False), title=str(words["units"].get(task, "loss")))
    tooltip = [
        altair.Tooltip("name:N", title="architecture"),
        altair.Tooltip("per_cent:O", title="warmup, %"),
        altair.Tooltip("warmup_steps:Q", title="warmup, steps"),
        altair.Tooltip("seed:O"),
        altair.Tooltip("status:N"),
        altair.Tooltip("outcome:Q", title="loss of this run", format=".4f"),
        altair.Tooltip("mean:Q", title="mean of the arm", format=".4f"),
        altair.Tooltip("regret:Q", title="regret of the arm", format=".4f"),
        altair.Tooltip("regret_low:Q", title="  at least", format=".4f"),
        altair.Tooltip("regret_high:Q", title="  at most", format=".4f"),
        altair.Tooltip("plateau:N", title="not excluded from the plateau"),
        altair.Tooltip("best_metric:Q", title=str(part["metric"].drop_nulls().first() or "metric"), format=".4f"),
    ]
    points = base.mark_circle(size=45).encode(y=loss, xOffset="name:N", tooltip=tooltip)
    means = base.mark_line(strokeWidth=2).encode(y=altair.Y("mean:Q"), detail="name:N")
    title = str(words["labels"].get(task, task))
    return altair.layer(means, points).properties(width=640, height=240, title=title)
