"""The schedule gallery: learning rates of every recipe, with the formula of its schedule, as one interactive page.

In: recipes of the configuration, steps, warmups. Out: an Altair chart; hover for numbers, click a name to single it
out, choose the warmup below. Schedules that no recipe uses are drawn from the first recipe's numbers. Recipes that tell
roles of parameters apart have a chart of their own, one line per role.
"""

import textwrap
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import altair
import numpy as np
import polars

from warmup import registry, schedules
from warmup.errors import ConfigurationError
from warmup.plots import style

POINTS = 240
"""Points of a curve, the corners of warmup and decay among them."""

ROLE_POINTS = 60
"""Points of a curve of a role, of which there are many."""

COMMON_RECIPE = {"schedule": "cosine", "peak_learning_rate": 1.0e-4, "start": 0.0, "floor": 0.0}
COMMON_STEPS, COMMON_WARMUP, COMMON_ROWS = 50_000, 2_000, (0, 500, 1_000, 2_000)
"""The common recipe of [S3], peak 1e-4 and 2,000 warmup steps, and the updates after which its table looks.

Its rows lie within warmup, so they are the same whatever decay follows.
"""

FORMULA_WIDTH = 110
"""Characters of a line of formula."""

WIDTH = 620
"""Pixels of the chart; texts below may run on under the legend."""

SHAPE = ("schedule", "schedule_options", "start", "floor")
"""What of a recipe decides its curve as a share of the peak."""

OTHERS = "every other role"
"""The roles that a recipe does not name, in one line."""

DASHES = ([1, 0], [6, 3], [2, 2])
"""One for each time the palette has been used up."""


def common_recipe_table() -> polars.DataFrame:
    """Rate last used after COMMON_ROWS updates of the common recipe: columns updates_done, learning_rate."""
    rates = schedules.learning_rates(COMMON_RECIPE, COMMON_STEPS, COMMON_WARMUP)
    used = [0.0 if done == 0 else float(rates[done - 1]) for done in COMMON_ROWS]
    return polars.DataFrame({"updates_done": COMMON_ROWS, "learning_rate": used})


def curves(settings: Mapping[str, Any]) -> tuple[polars.DataFrame, list[str]]:
    """Learning rates (recipe, schedule, formula, warmup, update, share, learning_rate), and what could not be drawn.

    `settings`: recipes, steps, warmups. A recipe and warmup that do not fit together are left out and named.
    """
    parts, missing = [], []
    for label, recipe in _drawn(settings["recipes"]).items():
        for warmup in settings["warmups"]:
            warmup_steps = int(warmup * settings["steps"] + 0.5)
            try:
                rates = schedules.learning_rates(recipe, settings["steps"], warmup_steps)
            except ConfigurationError as error:
                missing.append(f"{label} with warmup {warmup:g}: {error}")
                continue
            shown = _corners(rates)
            parts.append(
                polars.DataFrame(
                    {
                        "recipe": label,
                        "schedule": recipe["schedule"],
                        "formula": schedules.formula(recipe["schedule"]),
                        "warmup": f"{warmup:g}",
                        "update": shown + 1,
                        "share": (shown + 1) / settings["steps"],
                        "learning_rate": rates[shown],
                    }
                )
            )
    return polars.concat(parts), missing


def role_curves(settings: Mapping[str, Any]) -> polars.DataFrame:
    """Learning rates by role (recipe, role, warmup, update, share, learning_rate) of recipes that tell roles apart.

    A recipe's roles are those it names, and OTHERS. What does not fit together is left out, as by `curves`.
    """
    parts = [polars.DataFrame(schema=ROLE_CURVES)]
    for name, recipe in settings["recipes"].items():
        keys = ("warmup_roles", "warmup_excludes", "role_rate_factors")
        named = dict.fromkeys(role for key in keys for role in recipe.get(key) or ())
        for warmup in settings["warmups"] if schedules.differ(recipe) else ():
            warmup_steps = int(warmup * settings["steps"] + 0.5)
            with suppress(ConfigurationError):
                rates = schedules.learning_rates(recipe, settings["steps"], warmup_steps)
                by_role = schedules.role_rates(recipe, rates, warmup_steps, [*named, OTHERS])
                shown = np.unique(np.concatenate([_corners(own, ROLE_POINTS) for own in by_role.values()]))
                for role, own in by_role.items():
                    parts.append(
                        polars.DataFrame(
                            {
                                "recipe": recipe.get("label", name),
                                "role": role,
                                "warmup": f"{warmup:g}",
                                "update": shown + 1,
                                "share": (shown + 1) / settings["steps"],
                                "learning_rate": own[shown],
                            },
                            schema=ROLE_CURVES,
                        )
                    )
    return polars.concat(parts)


ROLE_CURVES = {
    **dict.fromkeys(("recipe", "role", "warmup"), polars.String),
    "update": polars.Int64,
    **dict.fromkeys(("share", "learning_rate"), polars.Float64),
}


def gallery(settings: Mapping[str, Any]) -> Any:
    """The interactive chart: curves, formulas of the schedules shown, and the table of the common recipe."""
    frame, missing = curves(settings)
    names = frame["recipe"].unique(maintain_order=True).to_list()
    colours = style.colours(names)
    warmups = frame["warmup"].unique(maintain_order=True).to_list()
    legend = "recipe (click to single out)"
    chosen = altair.selection_point(fields=["recipe"], bind="legend")
    start = warmups[min(1, len(warmups) - 1)]
    warmup = altair.param(
        name="warmup", value=start, bind=altair.binding_select(options=warmups, name="warmup, share of training ")
    )
    lines = (
        altair.Chart(frame)
        .mark_line(strokeWidth=2)
        .encode(
            x=altair.X("share:Q", title="share of training", axis=altair.Axis(format="%")),
            y=altair.Y("learning_rate:Q", title="learning rate", axis=altair.Axis(format=".1e")),
            color=altair.Color(
                "recipe:N",
                title=legend,
                scale=altair.Scale(domain=names, range=list(colours.values())),
                legend=altair.Legend(labelLimit=320, symbolStrokeWidth=3),
            ),
            strokeDash=altair.StrokeDash(
                "recipe:N", title=legend, scale=altair.Scale(domain=names, range=_dashes(len(names)))
            ),
            opacity=altair.condition(chosen, altair.value(1.0), altair.value(0.08)),
            tooltip=[
                altair.Tooltip("recipe:N"),
                altair.Tooltip("schedule:N"),
                altair.Tooltip("update:Q"),
                altair.Tooltip("learning_rate:Q", format=".4e"),
                altair.Tooltip("formula:N"),
            ],
        )
        .add_params(chosen, warmup)
        .transform_filter("datum.warmup === warmup")
        .properties(width=WIDTH, height=340, title="Learning rate, each shape once")
    )
    notes = [f"Not drawn: {text}" for text in missing]
    roles = role_curves(settings)
    by_role = [] if roles.is_empty() else [_by_role(roles)]
    return altair.vconcat(lines, *by_role, _formulas(frame), _common_recipe(notes)).configure_view(stroke=None)


def _by_role(frame: polars.DataFrame) -> Any:
    """One recipe at a time, chosen below: a line per role that it names, at the warmup chosen above."""
    recipes, roles = (frame[column].unique(maintain_order=True).to_list() for column in ("recipe", "role"))
    colours = style.colours(roles)
    recipe = altair.param(
        name="by_role", value=recipes[0], bind=altair.binding_select(options=recipes, name="recipe, by role ")
    )
    return (
        altair.Chart(frame)
        .mark_line(strokeWidth=2)
        .encode(
            x=altair.X("share:Q", title="share of training", axis=altair.Axis(format="%")),
            y=altair.Y("learning_rate:Q", title="learning rate", axis=altair.Axis(format=".1e")),
            color=altair.Color(
                "role:N", title="role", scale=altair.Scale(domain=roles, range=[colours[role] for role in roles])
            ),
            strokeDash=altair.StrokeDash(
                "role:N", title="role", scale=altair.Scale(domain=roles, range=_dashes(len(roles)))
            ),
            tooltip=["role:N", "update:Q", altair.Tooltip("learning_rate:Q", format=".6e")],
        )
        .add_params(recipe)
        .transform_filter("datum.warmup === warmup && datum.recipe === by_role")
        .properties(width=WIDTH, height=220, title="Warmup by role: who is warmed, who starts at the peak")
    )


def _dashes(count: int) -> list[list[int]]:
    return [DASHES[index // len(style.PALETTE) % len(DASHES)] for index in range(count)]


def _drawn(recipes: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Recipes that treat all roles alike, by label, each shape once, whatever its peak; then one for each schedule that
    none uses."""
    found: dict[str, Mapping[str, Any]] = {}
    seen: dict[str, str] = {}
    for name, recipe in recipes.items():
        if schedules.differ(recipe):
            continue
        shape = repr([recipe.get(key) for key in SHAPE])
        if shape not in seen:
            seen[shape] = recipe.get("label", name)
            found[seen[shape]] = recipe
    first = next(iter(recipes.values()))
    used = {recipe["schedule"] for recipe in recipes.values()}
    for schedule in registry.names("schedules"):
        if schedule not in used:
            label = f"{schedule.replace('_', ' ')} (no recipe uses it)"
            found[label] = {**first, "schedule": schedule, "schedule_options": {}}
    return found


def _corners(rates: Any, points: int = POINTS) -> Any:
    """Indices to draw: evenly spaced, and every update where the curve bends most."""
    even = np.linspace(0, len(rates) - 1, min(points, len(rates))).round().astype(int)
    bends = np.argsort(np.abs(np.diff(rates, 2)))[-4:] + 1 if len(rates) > 2 else np.array([], dtype=int)
    return np.unique(np.concatenate([even, bends]))


def _formulas(frame: polars.DataFrame) -> Any:
    """One line of text per schedule; long formulas are folded."""
    rows: list[tuple[str, str, int]] = []
    for schedule, text in frame.select("schedule", "formula").unique(maintain_order=True).rows():
        folded = textwrap.wrap(text, FORMULA_WIDTH)
        rows += [(schedule if index == 0 else "", line, len(rows) + index) for index, line in enumerate(folded)]
    table = polars.DataFrame(rows, schema=["schedule", "text", "row"], orient="row")
    base = altair.Chart(table).encode(y=altair.Y("row:O", axis=None))
    left = base.mark_text(align="left", fontWeight="bold", fontSize=12).encode(x=altair.value(0), text="schedule:N")
    right = base.mark_text(align="left", fontSize=12).encode(x=altair.value(140), text="text:N")
    ramp = (
        "First warmup, update t = 0, 1, …, W − 1: lr = peak · (start + (top − start) (t + 1)/W); then, s = share done:"
    )
    return (left + right).properties(
        width=WIDTH, height=18 * len(table), title=altair.Title(ramp, fontSize=12, anchor="start")
    )


def _common_recipe(notes: list[str]) -> Any:
    """The table of the common recipe, and notes under it."""
    rows = [f"{done:>6,} updates done: {rate:.2e}" for done, rate in common_recipe_table().rows()]
    table = polars.DataFrame({"text": rows + notes, "row": range(len(rows) + len(notes))})
    title = "Common recipe, peak 1e-4 and 2,000 warmup steps: rate last used after"
    return (
        altair.Chart(table)
        .mark_text(align="left", fontSize=12)
        .encode(x=altair.value(0), y=altair.Y("row:O", axis=None), text="text:N")
        .properties(width=WIDTH, height=18 * len(table), title=altair.Title(title, fontSize=12, anchor="start"))
    )
